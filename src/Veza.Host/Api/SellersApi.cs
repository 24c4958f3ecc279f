using System.Text.Json;
using Veza.Adapters.Postgres;
using Veza.Domain;

namespace Veza.Host.Api;

static class SellersApi
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPut("/api/v1/sellers/{sellerId}", Put).Needs(Role.Service).Audited();
        routes.MapGet("/api/v1/sellers/{sellerId}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/sellers/{sellerId}/balance", Balance).Needs(Role.Read);
    }

    static async Task<IResult> Put(
        string sellerId,
        HttpContext context,
        Sellers sellers,
        Views views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var account = fields.Text("stripe_account_id");
        var bps = fields.OptionalInteger("platform_fee_bps", 0, 10_000);
        fields.RefuseOthers();
        SellerId.Parse(sellerId).Match(ok: _ => true, error: why => Fault(fields, "seller_id", why));
        if (account.Length > 0)
        {
            StripeAccountId
                .Parse(account)
                .Match(ok: _ => true, error: why => Fault(fields, "stripe_account_id", why));
        }

        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var seller = new Seller(sellerId, account, (int?)bps);
        var before = await sellers.Save(seller, context.Caller().Actor, cancellation);
        context.Changed(before is null ? null : Told(before), Told(seller));
        return Requests.JsonOr404(await views.FindSeller(sellerId, cancellation), "seller");
    }

    static async Task<IResult> Get(string sellerId, Views views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindSeller(sellerId, cancellation), "seller");

    static async Task<IResult> Balance(string sellerId, Views views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindBalance(sellerId, cancellation), "seller");

    static string Told(Seller seller) =>
        JsonSerializer.Serialize(
            new { stripe_account_id = seller.StripeAccountId, platform_fee_bps = seller.PlatformFeeBps }
        );

    static bool Fault(Fields fields, string field, string why)
    {
        fields.Fault(field, "invalid", why);
        return false;
    }
}
