using Microsoft.FSharp.Collections;
using Veza.Domain;
using Veza.Domain.Orders;

namespace Veza.Host.Orders;

static class OrderEndpoints
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
        SellerRepository sellers,
        OrderService service,
        ReadModels views,
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
        var terms = await TermsOf(lines, sellers, settings, now, cancellation);
        TellFaults(fields, lines, terms);
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var id = context.NewId(clock);
        return await OrderModule
            .create(
                OrderId.Of(id),
                buyer,
                currency!,
                settings.FeeRefundPolicy,
                [.. lines.Select(read => read.Line!)],
                [.. terms]
            )
            .Match(
                ok: async order =>
                {
                    await service.Create(order, metadata, context.Caller().Actor, cancellation);
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

    /// <param name="Line">Null where a field of it is at fault.</param>
    /// <param name="Seller">Null where it is at fault itself.</param>
    sealed record ReadingOf(Line? Line, SellerId? Seller);

    static ReadingOf ReadLine(JsonBodyReader item, DateTimeOffset now)
    {
        var before = item.Errors.Count;
        var product = item.Text("product_id");
        var seller = SellerId
            .Parse(item.Text("seller_id"))
            .Match(ok: SellerId? (parsed) => parsed, error: _ => null);
        var quantity = item.Integer("quantity", 1, 1_000_000);
        var unitAmount = item.Integer("unit_amount", 0, Minor.most);
        var license = item.OptionalObject("license");
        var kind = license?.OptionalText("kind", 100) ?? "standard";
        var expires = license?.OptionalTime("expires_at");
        license?.RefuseOthers();
        item.RefuseOthers();
        if (item.Errors.Count > before || seller is null)
        {
            return new ReadingOf(null, seller);
        }

        var line = new Line(
            id: LineId.Of(Guid.CreateVersion7(now)),
            license: LicenseId.Of(Guid.CreateVersion7(now)),
            product: product,
            seller: seller,
            quantity: (int)quantity,
            unitAmount: unitAmount,
            licenseKind: kind,
            licenseExpiresAt: Microsoft.FSharp.Core.OptionModule.OfNullable(expires),
            refundedBy: null
        );
        return new ReadingOf(line, seller);
    }

    /// <summary>The domain's faults beside those of the fields: of each line that can be read, and of every seller.</summary>
    static void TellFaults(
        JsonBodyReader fields,
        IReadOnlyList<ReadingOf> lines,
        IReadOnlyList<SellerTerms> terms
    )
    {
        var faults = fields.Errors.Any(error => error.Field.StartsWith("lines", StringComparison.Ordinal))
            ? lines.Index().SelectMany(read => FaultsOf(read.Index, read.Item, terms))
            : OrderModule.faults([.. lines.Select(read => read.Line!)], [.. terms]);
        foreach (var fault in faults.ToList())
        {
            fields.Fault(fault.Field, fault.Code, fault.Detail);
        }
    }

    static FSharpList<Fault> FaultsOf(int place, ReadingOf read, IReadOnlyList<SellerTerms> terms) =>
        read switch
        {
            { Line: { } line } => OrderModule.lineFaults(place, line, terms),
            { Seller: { } seller } when terms.All(known => !known.Seller.Equals(seller)) =>
            [
                OrderModule.unknownSeller(place, seller.Value),
            ],
            _ => [],
        };

    /// <summary>One leg's terms for each seller, in the order in which the sellers appear.</summary>
    static async Task<List<SellerTerms>> TermsOf(
        IReadOnlyList<ReadingOf> lines,
        SellerRepository sellers,
        Settings settings,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        var named = lines.Select(read => read.Seller).OfType<SellerId>().Distinct().ToList();
        var found = await sellers.Find([.. named.Select(seller => seller.Value)], cancellation);
        return
        [
            .. named
                .Where(seller => found.ContainsKey(seller.Value))
                .Select(seller => new SellerTerms(
                    seller: seller,
                    account: StripeAccountId
                        .Parse(found[seller.Value].StripeAccountId)
                        .Match(ok: parsed => parsed, error: why => throw new InvalidDataException(why)),
                    feeBps: found[seller.Value].PlatformFeeBps ?? settings.PlatformFeeBps,
                    transfer: TransferId.Of(Guid.CreateVersion7(now))
                )),
        ];
    }

    static async Task<IResult> Get(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindOrder(id, cancellation), "order");

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
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
        OrderService service,
        ReadModels views,
        CancellationToken cancellation
    ) =>
        await service.Cancel(id, context.Caller().Actor, cancellation) is CancelAnswer.NotCancellable refused
            ? Problem.Of(
                409,
                "order_not_cancellable",
                "Only an order that is not paid, and has no payment under way, can be cancelled.",
                more: ("order_status", refused.OrderStatus)
            )
            : Requests.JsonOr404(await views.FindOrder(id, cancellation), "order");
}
