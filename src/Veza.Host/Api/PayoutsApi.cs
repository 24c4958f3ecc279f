using Veza.Adapters.Postgres;
using Veza.Domain;
using Veza.Host.Settling;

namespace Veza.Host.Api;

/// <summary>Payouts of sellers' Stripe balances to their banks, which operators ask for.</summary>
static class PayoutsApi
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/payouts", Post).Needs(Role.Operator);
        routes.MapGet("/api/v1/payouts/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/payouts", List).Needs(Role.Read);
    }

    /// <summary>
    /// 201 once Stripe has it, 202 while nobody knows, 422 <c>provider_refused</c> where Stripe refused; the payout is
    /// kept in each case.
    /// </summary>
    static async Task<IResult> Post(
        HttpContext context,
        Sellers sellers,
        PayoutDesk desk,
        Views views,
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

        var payout = await desk.Request(
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

    static async Task<IResult> Get(Guid id, Views views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindPayout(id, cancellation), "payout");

    static async Task<IResult> List(HttpRequest request, Views views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Payout);
        var (seller, after) = (query.Text("seller_id"), query.AfterId);
        return query.Refusal()
            ?? (await views.ListPayouts(status, seller, after, query.Limit, cancellation)).ToResult();
    }

    /// <summary>What stands in the database was checked when it was put there.</summary>
    static T Sure<T>(Microsoft.FSharp.Core.FSharpResult<T, string> result) =>
        result.Match(ok: value => value, error: why => throw new InvalidDataException(why));
}
