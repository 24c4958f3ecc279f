namespace Veza.Host.Audit;

/// <summary>Who did what.</summary>
static class AuditEndpoints
{
    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("/api/v1/admin/audit", List).Needs(Role.Read);

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var (actor, action, about) = (query.Text("actor"), query.Text("action"), query.Text("object"));
        var (since, until) = (query.Time("created_after"), query.Time("created_before"));
        var after = query.AfterId;
        return query.Refusal()
            ?? (
                await views.ListAudit(actor, action, about, since, until, after, query.Limit, cancellation)
            ).ToResult();
    }
}
