using Veza.Domain;
using Veza.Domain.Subscriptions;

namespace Veza.Host.Subscriptions;

/// <summary>Subscribers' standing orders.</summary>
static class SubscriptionEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/subscriptions", Post).Needs(Role.Service);
        routes.MapGet("/api/v1/subscriptions/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/subscriptions", List).Needs(Role.Read);
        routes.MapPost("/api/v1/subscriptions/{id:guid}/cancel", Cancel).Needs(Role.Service);
    }

    static async Task<IResult> Post(
        HttpContext context,
        SubscriptionService service,
        ReadModels views,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var subscriber = fields.Text("subscriber_id");
        var plan = fields.Object("plan");
        var code = plan?.Text("code") ?? "";
        var amount = plan?.Integer("amount", 1, Minor.most) ?? 0;
        var currency = plan?.Currency("currency");
        var interval = plan?.OneOf("interval", [.. SubscriptionWords.everyInterval.Select(Word)]);
        plan?.RefuseOthers();
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var id = context.NewId(clock);
        var answer = await service.Subscribe(
            id,
            subscriber,
            new Plan(
                code,
                new Money(amount, currency!),
                SubscriptionWords.everyInterval.First(word => Word(word) == interval)
            ),
            context.Caller().Actor,
            cancellation
        );
        return answer is SubscribeAnswer.Refused refused
            ? Problem.Of(
                422,
                "provider_refused",
                refused.Message,
                more:
                [
                    ("subscription_id", id.ToString()),
                    ("provider_code", refused.Code),
                    ("provider_message", refused.Message),
                ]
            )
            : Requests.Json(
                (await views.FindSubscription(id, cancellation))!,
                answer is SubscribeAnswer.InDoubt ? 202 : 201
            );
    }

    static string Word(Interval interval) => SubscriptionWords.interval(interval);

    static async Task<IResult> Get(
        Guid id,
        HttpContext context,
        ReadModels views,
        CancellationToken cancellation
    ) =>
        Requests.JsonOr404(context.ForReader(await views.FindSubscription(id, cancellation)), "subscription");

    static async Task<IResult> List(HttpContext context, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(context.Request);
        var status = query.OneOf("status", Statuses.Subscription);
        var (subscriber, after) = (query.Text("subscriber_id"), query.AfterId);
        return query.Refusal()
            ?? context
                .ForReader(
                    await views.ListSubscriptions(status, subscriber, after, query.Limit, cancellation)
                )
                .ToResult();
    }

    static async Task<IResult> Cancel(
        Guid id,
        HttpContext context,
        SubscriptionService service,
        ReadModels views,
        CancellationToken cancellation
    ) =>
        await service.Cancel(id, context.Caller().Actor, cancellation) is null
            ? Problem.NotFound("subscription")
            : Requests.Json((await views.FindSubscription(id, cancellation))!);
}
