namespace Veza.Host.Disputes;

/// <summary>Buyers' disputes of orders.</summary>
static class DisputeEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/disputes/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/disputes", List).Needs(Role.Read);
    }

    static async Task<IResult> Get(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindDispute(id, cancellation), "dispute");

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Dispute);
        var (order, after) = (query.Id("order_id"), query.AfterId);
        return query.Refusal()
            ?? (await views.ListDisputes(status, order, after, query.Limit, cancellation)).ToResult();
    }
}
