using System.Security.Claims;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Antiforgery;
using Npgsql;

namespace Veza.Host.Audit;

/// <summary>Is written down whoever calls it, because it moves where money goes.</summary>
sealed record Audited;

/// <summary>JSON before and after.</summary>
sealed record Change(string? Old, string? New);

/// <summary>What an action has changed, told by whoever has seen it before and after.</summary>
static class Auditing
{
    static readonly object ChangeKey = new();

    /// <summary>Changes with every change, so they tell nothing.</summary>
    static readonly IReadOnlyList<string> Passing = ["version", "updated_at"];

    public static TBuilder Audited<TBuilder>(this TBuilder route)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new Audited());

    /// <summary>Both as JSON; null where there is nothing. Of two objects only what differs is kept.</summary>
    public static void Changed(this HttpContext context, string? before, string? after) =>
        context.Items[ChangeKey] = Difference(before, after);

    public static Change? Change(this HttpContext context) => context.Items[ChangeKey] as Change;

    static Change Difference(string? before, string? after)
    {
        if (before is null || after is null)
        {
            return new(before, after);
        }

        var (old, now) = (JsonNode.Parse(before)!.AsObject(), JsonNode.Parse(after)!.AsObject());
        foreach (var (name, value) in now.ToList())
        {
            if (Passing.Contains(name) || JsonNode.DeepEquals(old[name], value))
            {
                old.Remove(name);
                now.Remove(name);
            }
        }

        return new(old.ToJsonString(), now.ToJsonString());
    }
}

/// <summary>
/// Writes down who acts before they do, and what came of it after: every call of an operator that changes something,
/// through the API or the console. Repeats that an <c>Idempotency-Key</c> answers act on nothing and never come here.
/// </summary>
sealed partial class AuditMiddleware(RequestDelegate next, AuditLog audit, ILogger<AuditMiddleware> log)
{
    const string Console = "console";

    public async Task Invoke(HttpContext context)
    {
        if (await Asked(context) is not { } entry)
        {
            await next(context);
            return;
        }

        var id = await audit.Begin(entry, context.RequestAborted);
        var wire = context.Response.Body;
        using var kept = new MemoryStream();
        context.Response.Body = kept;
        var outcome = "failed";
        try
        {
            await next(context);
            outcome = Outcome(context.Response.StatusCode);
        }
        catch (Exception error) when (error is UnreadableBodyException or BadHttpRequestException)
        {
            outcome = "refused";
            throw;
        }
        finally
        {
            context.Response.Body = wire;
            await End(context, id, entry, outcome);
        }

        kept.Position = 0;
        await kept.CopyToAsync(wire, context.RequestAborted);
    }

    static string Outcome(int status) =>
        status switch
        {
            < 400 => "done",
            < 500 => "refused",
            _ => "failed",
        };

    /// <summary>The action is taken: an answer that says otherwise would be worse than an entry without its end.</summary>
    async Task End(HttpContext context, Guid id, AuditEntry entry, string outcome)
    {
        var change = context.Change();
        try
        {
            await audit.End(
                id,
                entry,
                new AuditOutcome(outcome, context.MadeId()?.ToString(), change?.Old, change?.New)
            );
        }
        catch (NpgsqlException error)
        {
            LogUnfinished(entry.Actor, entry.Action, id, error.Message);
        }
    }

    static async Task<AuditEntry?> Asked(HttpContext context)
    {
        var method = context.Request.Method;
        if (
            HttpMethods.IsGet(method)
            || HttpMethods.IsHead(method)
            || context.GetEndpoint() is not RouteEndpoint endpoint
            // A forged form is nobody's act.
            || context.Features.Get<IAntiforgeryValidationFeature>() is { IsValid: false }
            || Who(context, endpoint) is not { } who
        )
        {
            return null;
        }

        var (action, about) = AuditedActions.Of(method, endpoint.RoutePattern.RawText!);
        var id = context.Request.RouteValues.Values.FirstOrDefault()?.ToString();
        var note = who.Via == Console ? await NoteOfForm(context.Request) : await NoteOfJson(context.Request);
        return new(who.Actor, who.Role, who.Via, action, about, id, note);
    }

    static (string Actor, string Role, string Via)? Who(HttpContext context, RouteEndpoint endpoint)
    {
        if (endpoint.Metadata.GetMetadata<RoleRequired>() is not null)
        {
            var caller = context.Caller();
            return caller.Role == Role.Operator || endpoint.Metadata.GetMetadata<Audited>() is not null
                ? (caller.Actor, ApiKeys.Word(caller.Role), "api")
                : null;
        }

        var user = context.User;
        return user.Identity is { IsAuthenticated: true, Name: { } name }
            ? ($"key:{name}", user.FindFirstValue(ClaimTypes.Role)!, Console)
            : null;
    }

    static async Task<string?> NoteOfForm(HttpRequest request) =>
        request.HasFormContentType
            ? Clean((await request.ReadFormAsync(request.HttpContext.RequestAborted))["note"])
            : null;

    /// <summary>
    /// Null where there is none that can be read; whether it had to be there is the call's own matter. A body of the API is
    /// JSON whatever its Content-Type says: curl calls everything a form.
    /// </summary>
    static async Task<string?> NoteOfJson(HttpRequest request)
    {
        request.EnableBuffering();
        try
        {
            using var body = await JsonDocument.ParseAsync(
                request.Body,
                cancellationToken: request.HttpContext.RequestAborted
            );
            return
                body.RootElement.ValueKind == JsonValueKind.Object
                && body.RootElement.TryGetProperty("note", out var note)
                && note.ValueKind == JsonValueKind.String
                ? Clean(note.GetString())
                : null;
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException)
        {
            return null;
        }
        finally
        {
            request.Body.Position = 0;
        }
    }

    /// <summary>As much of it as PostgreSQL takes and a person reads.</summary>
    static string? Clean(string? note)
    {
        var text = note?.Trim().Replace("\0", "", StringComparison.Ordinal);
        return string.IsNullOrEmpty(text)
            ? null
            : Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text.Length > 1000 ? text[..1000] : text));
    }

    [LoggerMessage(
        LogLevel.Error,
        "The audit log lacks the outcome of {Actor}'s {Action} (entry {Entry}): {Why}"
    )]
    partial void LogUnfinished(string actor, string action, Guid entry, string why);
}
