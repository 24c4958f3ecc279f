using System.Globalization;
using System.Text;

namespace Veza.Host.Notifications;

/// <summary><c>GET /api/v1/events</c>: every state change as it happens, as server-sent events.</summary>
/// <remarks>Each stream asks the database four times a second, so they are limited.</remarks>
sealed class EventStreamEndpoint(
    Settings settings,
    StateChanges changes,
    ApiKeys keys,
    IHostApplicationLifetime life,
    TimeProvider clock
)
{
    const int MostAtOnce = 500;

    static readonly TimeSpan Beat = TimeSpan.FromMilliseconds(250);

    /// <summary>So that proxies keep the connection, and a revoked key is noticed.</summary>
    static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(15);

    int streams;

    public static void Map(IEndpointRouteBuilder routes) =>
        routes
            .MapGet(
                "/api/v1/events",
                (HttpContext context, EventStreamEndpoint events, CancellationToken cancellation) =>
                    events.Stream(context, cancellation)
            )
            .Needs(Role.Read);

    async Task<IResult> Stream(HttpContext context, CancellationToken cancellation)
    {
        var query = new ListQuery(context.Request, isPaged: false);
        var type = query.OneOf("type", [.. Statuses.EventTypes]);
        var after = query.HeaderNumber("Last-Event-ID");
        if (query.Refusal() is { } refusal)
        {
            return refusal;
        }

        if (context.IsHead())
        {
            return Results.Text("", "text/event-stream");
        }

        if (Interlocked.Increment(ref streams) > settings.EventStreams)
        {
            Interlocked.Decrement(ref streams);
            context.Response.Headers.RetryAfter = "5";
            return Problem.Of(
                429,
                "too_many_streams",
                $"This host serves {settings.EventStreams} streams at once."
            );
        }

        try
        {
            using var ending = CancellationTokenSource.CreateLinkedTokenSource(
                cancellation,
                life.ApplicationStopping
            );
            await Tell(context, after ?? await changes.Last(cancellation), type, ending.Token);
        }
        catch (OperationCanceledException)
        {
            // The reader has gone, or the host is going: it will resume where it was.
        }
        finally
        {
            Interlocked.Decrement(ref streams);
        }

        return Results.Empty;
    }

    async Task Tell(HttpContext context, long after, string? type, CancellationToken ending)
    {
        var response = context.Response;
        response.ContentType = "text/event-stream";
        response.Headers.CacheControl = "no-store";
        response.Headers["X-Accel-Buffering"] = "no";
        await response.WriteAsync("retry: 1000\n\n", ending);
        await response.Body.FlushAsync(ending);
        var beat = clock.GetTimestamp();
        while (true)
        {
            var (found, looked) = await changes.After(after, MostAtOnce, ending);
            var wanted = found.Where(change => IsWanted(type, change.Type)).ToList();
            if (wanted.Count > 0)
            {
                await response.WriteAsync(Written(wanted), ending);
                await response.Body.FlushAsync(ending);
            }

            if (looked == after)
            {
                await Task.Delay(Beat, clock, ending);
            }

            after = looked;
            if (clock.GetElapsedTime(beat) > Heartbeat)
            {
                beat = clock.GetTimestamp();
                if (!await keys.IsActive(context.Caller().KeyId, ending))
                {
                    return;
                }

                await response.WriteAsync(": still here\n\n", ending);
                await response.Body.FlushAsync(ending);
            }
        }
    }

    static bool IsWanted(string? filter, string type) =>
        filter is null or "*"
        || filter == type
        || (
            filter.EndsWith(".*", StringComparison.Ordinal)
            && type.StartsWith(filter[..^1], StringComparison.Ordinal)
        );

    static string Written(IReadOnlyList<StateChange> found)
    {
        var text = new StringBuilder();
        foreach (var change in found)
        {
            text.Append(
                CultureInfo.InvariantCulture,
                $"id: {change.Sequence}\nevent: {change.Type}\ndata: {JsonStyle.Compact(change.Json)}\n\n"
            );
        }

        return text.ToString();
    }
}
