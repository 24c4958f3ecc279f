using System.Text.Json;
using Veza.Domain;

namespace Veza.Host.Sellers;

static class SellerEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPut("/api/v1/sellers/{sellerId}", Put).Needs(Role.Service).Audited();
        routes.MapGet("/api/v1/sellers/{sellerId}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/sellers/{sellerId}/balance", Balance).Needs(Role.Read);
    }

    /// <summary>A fee that is not named stays as it was agreed; null is the platform's, whatever that will be.</summary>
    static async Task<IResult> Put(
        string sellerId,
        HttpContext context,
        SellerService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var account = fields.Text("stripe_account_id");
        var bps = fields.IntegerOrNull("platform_fee_bps", 0, 10_000);
        fields.RefuseOthers();
        SellerId.Parse(sellerId).Match(ok: _ => true, error: why => Fault(fields, "seller_id", why));
        if (account.Length > 0)
        {
            StripeAccountId
                .ParseNew(account)
                .Match(ok: _ => true, error: why => Fault(fields, "stripe_account_id", why));
        }

        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var seller = new Seller(sellerId, account, (int?)bps);
        var keepsFee = !fields.IsGiven("platform_fee_bps");
        if (await service.Register(seller, keepsFee, context.Caller().Actor, cancellation) is not { } saved)
        {
            return Problem.Of(
                422,
                "unknown_stripe_account",
                $"Stripe does not know {account}, or it is not connected to this platform.",
                [
                    new(
                        "stripe_account_id",
                        "unknown_stripe_account",
                        "must be an account connected to the platform."
                    ),
                ]
            );
        }

        context.Changed(saved.Before is { } before ? Told(before) : null, Told(saved.After));
        return Requests.JsonOr404(await views.FindSeller(sellerId, cancellation), "seller");
    }

    static async Task<IResult> Get(string sellerId, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindSeller(sellerId, cancellation), "seller");

    static async Task<IResult> Balance(string sellerId, ReadModels views, CancellationToken cancellation) =>
        await views.FindBalance(sellerId, cancellation) is { } balances
            ? Requests.Whole(balances)
            : Problem.NotFound("seller");

    static string Told(Seller seller) =>
        JsonSerializer.Serialize(
            new { stripe_account_id = seller.StripeAccountId, platform_fee_bps = seller.PlatformFeeBps }
        );

    static bool Fault(JsonBodyReader fields, string field, string why)
    {
        fields.Fault(field, "invalid", why);
        return false;
    }
}
