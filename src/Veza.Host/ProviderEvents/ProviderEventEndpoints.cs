using System.Text.Json;

namespace Veza.Host.ProviderEvents;

/// <summary>The webhooks as they came, and hearing those again that had no effect.</summary>
static class ProviderEventEndpoints
{
    static readonly IReadOnlyList<string> Providers = ["hyperswitch", "stripe"];

    static readonly IReadOnlyList<string> States =
    [
        "received",
        "asking",
        "processed",
        "known",
        "ignored",
        "parked",
        "quarantined",
        "poisoned",
        "dismissed",
    ];

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/admin/webhook-events", List).Needs(Role.Read);
        routes.MapGet("/api/v1/admin/webhook-events/{id:long}", Get).Needs(Role.Read);
        routes.MapPost("/api/v1/admin/webhook-events/{id:long}/replay", ReplayOne).Needs(Role.Operator);
        routes.MapPost("/api/v1/admin/webhook-events/{id:long}/dismiss", Dismiss).Needs(Role.Operator);
        routes.MapPost("/api/v1/admin/webhook-events/replay", ReplayMany).Needs(Role.Operator);
    }

    static async Task<IResult> List(HttpRequest request, ProviderEventLog log, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var filter = new WebhookFilter(
            null,
            query.OneOf("provider", Providers),
            query.OneOf("state", States),
            query.Text("type"),
            query.Text("reason")
        );
        var before = query.AfterNumber;
        if (query.Refusal() is { } refusal)
        {
            return refusal;
        }

        var (items, hasMore, last) = await log.List(
            filter,
            before == 0 ? null : before,
            query.Limit,
            cancellation
        );
        return Requests.List(items, hasMore ? last : null);
    }

    static async Task<IResult> Get(
        long id,
        HttpContext context,
        ProviderEventLog log,
        CancellationToken cancellation
    ) => Requests.JsonOr404(context.ForReader(await log.Find(id, cancellation)), "webhook event");

    static async Task<IResult> ReplayOne(
        long id,
        HttpContext context,
        ProviderEventLog log,
        WorkSignals wakes,
        CancellationToken cancellation
    )
    {
        if (await log.Find(id, cancellation) is not { } found)
        {
            return Problem.NotFound("webhook event");
        }

        var replayed = await log.Replay(new WebhookFilter(id), context.Caller().Actor, cancellation);
        wakes.Inbox.Tap();
        var after = await log.Find(id, cancellation);
        context.Changed(found, after);
        var state = StateOf(found);
        return replayed > 0
            ? Requests.JsonOr404(after, "webhook event")
            : Problem.Of(
                409,
                "event_not_replayable",
                $"The event is {state}: only what had no effect can be heard again.",
                more: ("event_state", state)
            );
    }

    static async Task<IResult> Dismiss(
        long id,
        HttpContext context,
        ProviderEventLog log,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        if (await log.Find(id, cancellation) is not { } found)
        {
            return Problem.NotFound("webhook event");
        }

        if (await log.Dismiss(id, context.Caller().Actor, note, cancellation))
        {
            var after = await log.Find(id, cancellation);
            context.Changed(found, after);
            return Requests.JsonOr404(after, "webhook event");
        }

        var state = StateOf((await log.Find(id, cancellation))!);
        return Problem.Of(
            409,
            "event_not_dismissible",
            $"The event is {state}: only one that waits for a person can be dismissed.",
            more: ("event_state", state)
        );
    }

    static string? StateOf(string found)
    {
        using var document = JsonDocument.Parse(found);
        return document.RootElement.GetProperty("state").GetString();
    }

    static async Task<IResult> ReplayMany(
        HttpContext context,
        ProviderEventLog log,
        WorkSignals wakes,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var filter = new WebhookFilter(
            null,
            fields.OptionalOneOf("provider", Providers),
            fields.OptionalOneOf("state", States),
            fields.OptionalText("type"),
            fields.OptionalText("reason")
        );
        var dryRun = fields.OptionalFlag("dry_run") ?? true;
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var matched = await log.Count(filter, cancellation);
        var replayed = dryRun ? 0 : await log.Replay(filter, context.Caller().Actor, cancellation);
        if (replayed > 0)
        {
            wakes.Inbox.Tap();
        }

        return Requests.Json(
            new
            {
                matched,
                replayed,
                dry_run = dryRun,
            }
        );
    }
}
