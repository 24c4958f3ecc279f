using System.Text.Json.Nodes;
using Microsoft.FSharp.Core;
using Veza.Domain;
using Veza.Domain.Payouts;

namespace Veza.Host.Payouts;

/// <summary>Payouts of sellers' Stripe balances to their banks, which operators ask for.</summary>
static class PayoutEndpoints
{
    const string NameField = "external_payout_id";

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/payouts", Post).Needs(Role.Operator);
        routes.MapGet("/api/v1/payouts/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/payouts", List).Needs(Role.Read);
        routes.MapPost("/api/v1/admin/payouts/{id:guid}/retry", Retry).Needs(Role.Operator);
        routes.MapPost("/api/v1/admin/payouts/{id:guid}/settle", Settle).Needs(Role.Operator);
    }

    /// <summary>
    /// 201 once Stripe has it, 202 while nobody knows, 422 <c>provider_refused</c> where Stripe refused; the payout is
    /// kept in each case.
    /// </summary>
    static async Task<IResult> Post(
        HttpContext context,
        SellerRepository sellers,
        PayoutService service,
        ReadModels views,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var name = fields.Text("seller_id");
        var amount = fields.Integer("amount", 1, Minor.most);
        var currency = fields.Currency("currency");
        fields.RefuseOthers();
        var seller = (await sellers.Find([name], cancellation)).GetValueOrDefault(name);
        if (name.Length > 0 && seller is null)
        {
            fields.Fault("seller_id", "unknown_seller", "seller_id must be that of a registered seller.");
        }

        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var payout = await service.Request(
            context.NewId(clock),
            Sure(SellerId.Parse(seller!.Id)),
            Sure(StripeAccountId.Parse(seller.StripeAccountId)),
            new Money(amount, currency!),
            context.Caller().Actor,
            cancellation
        );
        var row = payout.ToRow();
        if (row.Status == "failed" && row.StripePayoutId is null)
        {
            return Problem.Of(
                422,
                "provider_refused",
                row.FailureMessage!,
                more:
                [
                    ("payout_id", row.Id.ToString()),
                    ("provider_code", row.FailureCode),
                    ("provider_message", row.FailureMessage),
                ]
            );
        }

        return Requests.Json(
            (await views.FindPayout(row.Id, cancellation))!,
            row.StripePayoutId is null ? 202 : 201
        );
    }

    static async Task<IResult> Get(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindPayout(id, cancellation), "payout");

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Payout);
        var (seller, after) = (query.Text("seller_id"), query.AfterId);
        return query.Refusal()
            ?? (await views.ListPayouts(status, seller, after, query.Limit, cancellation)).ToResult();
    }

    static async Task<IResult> Retry(
        Guid id,
        HttpContext context,
        PayoutService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.OptionalText("note", 1000);
        fields.RefuseOthers();
        return fields.Errors.Count > 0
            ? Problem.Invalid(fields.Errors)
            : await Answer(
                id,
                await service.Retry(id, context.Caller().Actor, note, cancellation),
                views,
                cancellation
            );
    }

    static async Task<IResult> Settle(
        Guid id,
        HttpContext context,
        PayoutService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var note = fields.Text("note", 1000);
        var word = fields.OptionalOneOf("outcome", [.. PayoutSettlement.every.Select(PayoutSettlement.word)]);
        var named = fields.OptionalText(NameField) is { } name
            ? StripePayoutId
                .Parse(name)
                .Match(
                    ok: StripePayoutId? (parsed) => parsed,
                    error: why =>
                    {
                        fields.Fault(NameField, "invalid", why);
                        return null;
                    }
                )
            : null;
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var ending = PayoutSettlement.every.FirstOrDefault(ending => PayoutSettlement.word(ending) == word);
        var said = new PayoutSaid(Option(ending), Option(named), note);
        try
        {
            var told = await service.Settle(id, said, context.Caller().Actor, cancellation);
            return await Answer(id, told, views, cancellation);
        }
        catch (Exception error) when (StripeTransfers.IsPassing(error, cancellation))
        {
            context.Response.Headers.RetryAfter = "2";
            return Problem.Of(
                503,
                "provider_in_doubt",
                "Stripe, asked for the payout, has not answered; nothing was settled. Please try again."
            );
        }
    }

    static async Task<IResult> Answer(
        Guid id,
        PayoutTold told,
        ReadModels views,
        CancellationToken cancellation
    ) =>
        told switch
        {
            PayoutTold.NotInDoubt known => Problem.Of(
                409,
                "payout_not_in_doubt",
                $"The payout is {known.PayoutStatus}; only one that is in doubt can be retried or settled.",
                more: ("payout_status", known.PayoutStatus)
            ),
            PayoutTold.Unsettled unsettled => Unsettled(unsettled.Verdict),
            _ => Requests.JsonOr404(await views.FindPayout(id, cancellation), "payout"),
        };

    static IResult Unsettled(PayoutVerdict verdict) =>
        verdict.Match(
            tell: _ => throw new InvalidOperationException("It was told."),
            saysOtherwise: sight =>
                Problem.Of(
                    409,
                    "payout_outcome_differs",
                    $"Stripe says of {sight.StripeId.Value} that it is {PayoutWords.fact(sight.Says)}. "
                        + "Settle it without an outcome, and Stripe's word counts.",
                    more:
                    [
                        (NameField, sight.StripeId.Value),
                        ("provider_status", PayoutWords.fact(sight.Says)),
                    ]
                ),
            severalShown: sights =>
                Problem.Of(
                    409,
                    "several_payouts_found",
                    $"Stripe has made {sights.Length} for this one. Name the one that counts as {NameField}; "
                        + "somebody must get the others back.",
                    more: (
                        "external_payout_ids",
                        new JsonArray([.. sights.Select(sight => JsonValue.Create(sight.StripeId.Value))])
                    )
                ),
            notThisOne: () =>
                Refused(
                    NameField,
                    "not_found",
                    "must be a payout on the seller's account, of the same amount and currency."
                ),
            nameMissing: () => Refused(NameField, "required", "a payout that was paid has an id at Stripe."),
            endingMissing: () =>
                Refused("outcome", "required", "Stripe does not show the account: say what became of it.")
        );

    static IResult Refused(string field, string code, string detail) =>
        Problem.Invalid([new(field, code, detail)]);

    static FSharpOption<T>? Option<T>(T? value)
        where T : class => value is null ? null : FSharpOption<T>.Some(value);

    /// <summary>What stands in the database was checked when it was put there.</summary>
    static T Sure<T>(FSharpResult<T, string> result) =>
        result.Match(ok: value => value, error: why => throw new InvalidDataException(why));
}
