namespace Veza.Host.Ledger;

/// <summary>Licenses and the ledger.</summary>
static class LedgerEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/licenses/{id:guid}", GetLicense).Needs(Role.Read);
        routes.MapGet("/api/v1/licenses", ListLicenses).Needs(Role.Read);
        routes.MapGet("/api/v1/ledger/entries", ListEntries).Needs(Role.Read);
        routes.MapGet("/api/v1/ledger/trial-balance", TrialBalance).Needs(Role.Read);
    }

    static async Task<IResult> GetLicense(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindLicense(id, cancellation), "license");

    static async Task<IResult> ListLicenses(
        HttpRequest request,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.License);
        var (buyer, product, after) = (query.Text("buyer_id"), query.Text("product_id"), query.AfterId);
        return query.Refusal()
            ?? (
                await views.ListLicenses(buyer, product, status, after, query.Limit, cancellation)
            ).ToResult();
    }

    static async Task<IResult> ListEntries(
        HttpRequest request,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(request);
        var (order, account, after) = (query.Id("order_id"), query.Text("account"), query.AfterNumber);
        if (query.Refusal() is { } refusal)
        {
            return refusal;
        }

        var (items, hasMore, last) = await views.ListEntries(
            order,
            account,
            after,
            query.Limit,
            cancellation
        );
        return Requests.List(items, hasMore ? last : null);
    }

    static async Task<IResult> TrialBalance(ReadModels views, CancellationToken cancellation) =>
        Requests.Whole(await views.TrialBalance(cancellation));
}
