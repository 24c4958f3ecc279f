using Veza.Adapters.Postgres;
using Veza.Domain;
using Veza.Domain.Orders;
using Veza.Host.Settling;

namespace Veza.Host.Api;

static class OrdersApi
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapPost("/api/v1/orders", Post).Needs(Role.Service);
        routes.MapGet("/api/v1/orders/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/orders", List).Needs(Role.Read);
        routes.MapPost("/api/v1/orders/{id:guid}/cancel", Cancel).Needs(Role.Service);
    }

    static async Task<IResult> Post(
        HttpContext context,
        Settings settings,
        Sellers sellers,
        OrderDesk desk,
        Views views,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var buyer = fields.Text("buyer_id");
        var currency = fields.Currency("currency");
        var metadata = fields.Metadata("metadata");
        var now = clock.GetUtcNow();
        var lines = fields.Items("lines", 100).Select(item => ReadLine(item, now)).ToList();
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var terms = await TermsOf(lines, sellers, settings, now, cancellation);
        var id = context.NewId(clock);
        return await OrderModule
            .create(OrderId.Of(id), buyer, currency!, settings.FeeRefundPolicy, [.. lines], [.. terms])
            .Match(
                ok: async order =>
                {
                    await desk.Create(order, metadata, context.Caller().Actor, cancellation);
                    return Requests.Json((await views.FindOrder(id, cancellation))!, 201);
                },
                error: faults =>
                    Task.FromResult(
                        Problem.Invalid([
                            .. faults.Select(fault => new FieldError(fault.Field, fault.Code, fault.Detail)),
                        ])
                    )
            );
    }

    static Line ReadLine(Fields item, DateTimeOffset now)
    {
        var product = item.Text("product_id");
        var seller = item.Text("seller_id");
        var quantity = item.Integer("quantity", 1, 1_000_000);
        var unitAmount = item.Integer("unit_amount", 0, Minor.most);
        var license = item.OptionalObject("license");
        var kind = license?.OptionalText("kind", 100) ?? "standard";
        var expires = license?.OptionalTime("expires_at");
        license?.RefuseOthers();
        item.RefuseOthers();
        return new Line(
            id: LineId.Of(Guid.CreateVersion7(now)),
            license: LicenseId.Of(Guid.CreateVersion7(now)),
            product: product,
            seller: SellerId.Parse(seller).Match(ok: parsed => parsed, error: _ => (SellerId)null!),
            quantity: (int)quantity,
            unitAmount: unitAmount,
            licenseKind: kind,
            licenseExpiresAt: Microsoft.FSharp.Core.OptionModule.OfNullable(expires),
            refundedBy: null
        );
    }

    /// <summary>One leg's terms for each seller, in the order in which the sellers appear.</summary>
    static async Task<List<SellerTerms>> TermsOf(
        List<Line> lines,
        Sellers sellers,
        Settings settings,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var names = lines.Select(line => line.Seller.Value).Distinct().ToList();
        var found = await sellers.Find(names, cancellation);
        return
        [
            .. names
                .Where(found.ContainsKey)
                .Select(name => new SellerTerms(
                    seller: lines.First(line => line.Seller.Value == name).Seller,
                    account: StripeAccountId
                        .Parse(found[name].StripeAccountId)
                        .Match(ok: parsed => parsed, error: why => throw new InvalidDataException(why)),
                    feeBps: found[name].PlatformFeeBps ?? settings.PlatformFeeBps,
                    transfer: TransferId.Of(Guid.CreateVersion7(now))
                )),
        ];
    }

    static async Task<IResult> Get(Guid id, Views views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindOrder(id, cancellation), "order");

    static async Task<IResult> List(HttpRequest request, Views views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Order);
        var (buyer, seller, after) = (query.Text("buyer_id"), query.Text("seller_id"), query.AfterId);
        return query.Refusal()
            ?? (await views.ListOrders(status, buyer, seller, after, query.Limit, cancellation)).ToResult();
    }

    static async Task<IResult> Cancel(
        Guid id,
        HttpContext context,
        OrderDesk desk,
        Views views,
        CancellationToken cancellation
    ) =>
        await desk.Cancel(id, context.Caller().Actor, cancellation) is CancelAnswer.NotCancellable refused
            ? Problem.Of(
                409,
                "order_not_cancellable",
                "Only an order that is not paid, and has no payment under way, can be cancelled.",
                more: ("order_status", refused.OrderStatus)
            )
            : Requests.JsonOr404(await views.FindOrder(id, cancellation), "order");
}
