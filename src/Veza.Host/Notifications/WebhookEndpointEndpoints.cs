using System.Globalization;
using System.Text.Json.Nodes;

namespace Veza.Host.Notifications;

/// <summary>Where the marketplace's own systems are told of changes, and what became of that.</summary>
static class WebhookEndpointEndpoints
{
    const string Root = "/api/v1/webhook-endpoints";

    static readonly IReadOnlyList<string> States = ["pending", "delivered", "failed", "held"];

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost(Root, Post).Needs(Role.Operator);
        routes.MapGet(Root, List).Needs(Role.Read);
        routes.MapGet(Root + "/{id:guid}", Get).Needs(Role.Read);
        routes.MapPatch(Root + "/{id:guid}", Patch).Needs(Role.Operator);
        routes.MapDelete(Root + "/{id:guid}", Delete).Needs(Role.Operator);
        routes.MapPost(Root + "/{id:guid}/rotate-secret", Rotate).Needs(Role.Operator);
        routes.MapGet(Root + "/{id:guid}/deliveries", Deliveries).Needs(Role.Read);
        routes.MapPost(Root + "/{id:guid}/replay", Replay).Needs(Role.Operator);
    }

    static async Task<IResult> Post(
        HttpContext context,
        Settings settings,
        WebhookEndpoints endpoints,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var url = Address(fields, fields.Text("url", 2048), settings);
        var description = fields.TextOrNull("description", 1000);
        var types = EventTypes(fields) ?? ["*"];
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var id = context.NewId(clock);
        var secret = await endpoints.Create(
            id,
            url,
            description,
            types,
            context.Caller().Actor,
            cancellation
        );
        return await WithSecret(context, endpoints, id, secret, 201, cancellation);
    }

    static async Task<IResult> List(
        HttpRequest request,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var after = query.AfterId;
        return query.Refusal() ?? (await endpoints.List(after, query.Limit, cancellation)).ToResult();
    }

    static async Task<IResult> Get(
        Guid id,
        HttpContext context,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    ) => context.Tagged(await endpoints.Find(id, cancellation), "webhook endpoint");

    static async Task<IResult> Patch(
        Guid id,
        HttpContext context,
        Settings settings,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var url = fields.OptionalText("url", 2048) is { } given ? Address(fields, given, settings) : null;
        var description = fields.OptionalText("description", 1000);
        var types = EventTypes(fields);
        var enabled = fields.OptionalFlag("enabled");
        fields.RefuseOthers();
        var version = context.IfMatch(fields);
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var change = new EndpointChange(url, description, types, enabled);
        var before = await endpoints.Find(id, cancellation);
        if (!await endpoints.Change(id, version, change, context.Caller().Actor, cancellation))
        {
            return await MissingOrChanged(id, endpoints, cancellation);
        }

        var after = await endpoints.Find(id, cancellation);
        context.Changed(before, after);
        return context.Tagged(after, "webhook endpoint");
    }

    static async Task<IResult> Delete(
        Guid id,
        HttpContext context,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    )
    {
        var headers = new List<FieldError>();
        var version = context.IfMatch(headers);
        if (headers.Count > 0)
        {
            return Problem.Invalid(headers);
        }

        var before = await endpoints.Find(id, cancellation);
        if (!await endpoints.Delete(id, version, cancellation))
        {
            return await MissingOrChanged(id, endpoints, cancellation);
        }

        context.Changed(before, null);
        return Results.NoContent();
    }

    static async Task<IResult> Rotate(
        Guid id,
        HttpContext context,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    ) =>
        await endpoints.Rotate(id, context.Caller().Actor, cancellation) is { } secret
            ? await WithSecret(context, endpoints, id, secret, 200, cancellation)
            : Problem.NotFound("webhook endpoint");

    static async Task<IResult> Deliveries(
        Guid id,
        HttpRequest request,
        WebhookEndpoints endpoints,
        WebhookDeliveries deliveries,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var state = query.OneOf("state", States);
        var before = query.AfterNumber;
        if (query.Refusal() is { } refusal)
        {
            return refusal;
        }

        if (await endpoints.Find(id, cancellation) is null)
        {
            return Problem.NotFound("webhook endpoint");
        }

        var (items, hasMore, last) = await deliveries.List(
            id,
            state,
            before == 0 ? null : before,
            query.Limit,
            cancellation
        );
        return Requests.List(items, hasMore ? last : null);
    }

    static async Task<IResult> Replay(
        Guid id,
        HttpContext context,
        WebhookEndpoints endpoints,
        WebhookDeliveries deliveries,
        WorkSignals wakes,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var sequence = fields.OptionalInteger("sequence", 1, long.MaxValue);
        var since = fields.OptionalInteger("since_sequence", 1, long.MaxValue);
        var state = fields.OptionalOneOf("state", States);
        if (sequence is null && since is null && state is null)
        {
            fields.Fault("sequence", "required", "give sequence, since_sequence or state.");
        }

        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        if (await endpoints.Find(id, cancellation) is null)
        {
            return Problem.NotFound("webhook endpoint");
        }

        var replayed = await deliveries.Replay(id, sequence, since ?? 0, state, cancellation);
        wakes.Deliveries.Tap();
        return Requests.Json($$"""{"replayed":{{replayed.ToString(CultureInfo.InvariantCulture)}}}""");
    }

    static string Address(JsonBodyReader fields, string url, Settings settings)
    {
        Addresses.Check(fields, "url", url, _ => settings.WebhookAllowPrivateTargets);
        return url;
    }

    static IReadOnlyList<string>? EventTypes(JsonBodyReader fields)
    {
        var types = fields.OptionalTexts("event_types", 50);
        foreach (var (place, type) in (types ?? []).Index())
        {
            if (!Statuses.EventTypes.Contains(type))
            {
                fields.Fault(
                    $"event_types[{place}]",
                    "unknown_value",
                    "must be a type such as order.completed, a family such as transfer.*, or *."
                );
            }
        }

        return types;
    }

    static async Task<IResult> WithSecret(
        HttpContext context,
        WebhookEndpoints endpoints,
        Guid id,
        string secret,
        int status,
        CancellationToken cancellation
    )
    {
        var found = (await endpoints.Find(id, cancellation))!;
        context.Changed(null, found);
        var json = JsonNode.Parse(found)!.AsObject();
        json["secret"] = secret;
        context.Response.Headers.ETag = Preconditions.Tag(json["version"]!.GetValue<int>());
        return Requests.Json(json.ToJsonString(JsonStyle.Options), status);
    }

    static async Task<IResult> MissingOrChanged(
        Guid id,
        WebhookEndpoints endpoints,
        CancellationToken cancellation
    ) =>
        await endpoints.Find(id, cancellation) is null
            ? Problem.NotFound("webhook endpoint")
            : Preconditions.Failed();
}
