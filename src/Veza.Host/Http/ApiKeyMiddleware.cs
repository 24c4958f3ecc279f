using System.Security.Cryptography;
using System.Text;

namespace Veza.Host.Http;

/// <summary>What an endpoint asks of its caller.</summary>
sealed record RoleRequired(Role Role);

/// <summary>Who is behind a request, and the id that what it creates will have.</summary>
static class CallerContext
{
    static readonly object CallerKey = new();
    static readonly object ResourceKey = new();
    static readonly object MadeKey = new();

    public static Caller Caller(this HttpContext context) => (Caller)context.Items[CallerKey]!;

    public static void Set(this HttpContext context, Caller caller) => context.Items[CallerKey] = caller;

    /// <summary>The same for every repeat of one request, so that a repeat finds what the first one made.</summary>
    public static Guid NewId(this HttpContext context, TimeProvider clock)
    {
        var id = context.Items[ResourceKey] is Guid chosen ? chosen : Guid.CreateVersion7(clock.GetUtcNow());
        context.Items[MadeKey] = id;
        return id;
    }

    /// <summary>The id of what the request has made, or was about to make; null if it makes nothing.</summary>
    public static Guid? MadeId(this HttpContext context) => context.Items[MadeKey] as Guid?;

    public static void SetNewId(this HttpContext context, Guid id) => context.Items[ResourceKey] = id;

    public static RouteHandlerBuilder Needs(this RouteHandlerBuilder route, Role role) =>
        route.WithMetadata(new RoleRequired(role));
}

/// <summary>Lets a request through to the API once its key is known and its role suffices.</summary>
sealed partial class ApiKeyMiddleware(RequestDelegate next, ILogger<ApiKeyMiddleware> log)
{
    public async Task Invoke(HttpContext context, ApiKeys keys, RateLimits limits)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<RoleRequired>() is not { } required)
        {
            await next(context);
            return;
        }

        var header = context.Request.Headers.Authorization.ToString();
        var key = header.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase) ? header[7..].Trim() : "";
        if (key.Length == 0 || await keys.Find(key, context.RequestAborted) is not { } caller)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            await Problem
                .Of(401, "unauthorized", "Send a valid API key as 'Authorization: Bearer <key>'.")
                .ExecuteAsync(context);
            return;
        }

        context.Response.Headers.CacheControl = "no-store";
        if (limits.Take(context, caller.KeyId) is { } refusal)
        {
            await refusal.ExecuteAsync(context);
            return;
        }

        if (caller.Role < required.Role)
        {
            var detail =
                $"This call needs the role {ApiKeys.Word(required.Role)}; the key has {ApiKeys.Word(caller.Role)}.";
            await Problem.Of(403, "forbidden", detail).ExecuteAsync(context);
            return;
        }

        context.Set(caller);
        await next(context);
        if (required.Role == Role.Operator && !HttpMethods.IsGet(context.Request.Method))
        {
            LogAction(
                caller.Actor,
                context.Request.Method,
                context.Request.Path,
                context.Response.StatusCode
            );
        }
    }

    [LoggerMessage(LogLevel.Information, "{Actor} called {Method} {Path}: {Status}")]
    partial void LogAction(string actor, string method, string path, int status);
}

/// <summary>
/// <c>Idempotency-Key</c> on every POST: the same key and body replay the first answer. Answers of 5xx are not
/// kept, so that asking again resolves them.
/// </summary>
sealed class IdempotencyMiddleware(RequestDelegate next)
{
    const string Header = "Idempotency-Key";

    public async Task Invoke(HttpContext context, IdempotentRequests requests)
    {
        if (
            !HttpMethods.IsPost(context.Request.Method)
            || context.GetEndpoint()?.Metadata.GetMetadata<RoleRequired>() is null
            || !context.Request.Headers.TryGetValue(Header, out var given)
        )
        {
            await next(context);
            return;
        }

        var key = given.ToString();
        if (FaultOf(key, given.Count) is { } fault)
        {
            await Problem.Invalid([fault]).ExecuteAsync(context);
            return;
        }

        var caller = context.Caller().KeyId;
        switch (await requests.Begin(caller, key, await Fingerprint(context), context.RequestAborted))
        {
            case Turn.Replay replay:
                context.Response.Headers["Idempotency-Replayed"] = "true";
                await Results
                    .Text(replay.Answer.Body, replay.Answer.ContentType, statusCode: replay.Answer.Status)
                    .ExecuteAsync(context);
                break;
            case Turn.Reused:
                await Problem
                    .Of(
                        422,
                        "idempotency_key_reused",
                        "This Idempotency-Key was first used with another request."
                    )
                    .ExecuteAsync(context);
                break;
            case Turn.InUse:
                await Problem
                    .Of(
                        409,
                        "idempotency_key_in_use",
                        "The first request with this Idempotency-Key is still running."
                    )
                    .ExecuteAsync(context);
                break;
            case Turn.Yours yours:
                context.SetNewId(yours.ResourceId);
                await Answer(context, requests, caller, key);
                break;
        }
    }

    /// <summary>Who sends a key relies on it: one that is empty is not "none".</summary>
    static FieldError? FaultOf(string key, int count) =>
        count > 1 ? new(Header, "duplicate_field", "must not be given more than once.")
        : string.IsNullOrWhiteSpace(key) ? new(Header, "blank", "must not be blank.")
        : key.Length > 255 ? new(Header, "too_long", "must not be longer than 255 characters.")
        : key.Any(char.IsControl) || key.Contains('\uFFFD')
            ? new(Header, "not_a_text", "must be text in UTF-8, without control characters.")
        : null;

    async Task Answer(HttpContext context, IdempotentRequests requests, Guid caller, string key)
    {
        var wire = context.Response.Body;
        using var kept = new MemoryStream();
        context.Response.Body = kept;
        StoredAnswer? answer = null;
        using var running = new CancellationTokenSource();
        var renewing = Renew(requests, caller, key, running.Token);
        try
        {
            await next(context);
            if (context.Response.StatusCode < 500)
            {
                var body = Encoding.UTF8.GetString(kept.GetBuffer(), 0, (int)kept.Length);
                answer = new(
                    context.Response.StatusCode,
                    context.Response.ContentType ?? "application/json",
                    body
                );
            }
        }
        finally
        {
            context.Response.Body = wire;
            await running.CancelAsync();
            await renewing;
            await requests.End(caller, key, answer);
        }

        kept.Position = 0;
        await kept.CopyToAsync(wire, context.RequestAborted);
    }

    /// <summary>As long as the host lives, nobody takes the request for one that has crashed.</summary>
    static async Task Renew(IdempotentRequests requests, Guid caller, string key, CancellationToken ended)
    {
        try
        {
            while (true)
            {
                await Task.Delay(IdempotentRequests.Beat, ended);
                await requests.Renew(caller, key);
            }
        }
        catch (Exception error) when (error is OperationCanceledException or Npgsql.NpgsqlException)
        {
            // It has ended; or a repeat may run beside it, and finds what it makes.
        }
    }

    static async Task<byte[]> Fingerprint(HttpContext context)
    {
        context.Request.EnableBuffering();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{context.Request.Path}{context.Request.QueryString}\n"));
        var buffer = new byte[8192];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            hash.AppendData(buffer.AsSpan(0, read));
        }

        context.Request.Body.Position = 0;
        return hash.GetHashAndReset();
    }
}
