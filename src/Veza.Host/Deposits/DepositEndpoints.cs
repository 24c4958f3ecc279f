namespace Veza.Host.Deposits;

/// <summary>Buyers' money outside of orders' books: it has paid for a period, or belongs to nothing and has to leave.</summary>
static class DepositEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/admin/deposits/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/admin/deposits", List).Needs(Role.Read);
        routes.MapPost("/api/v1/admin/deposits/{id:guid}/refund", GiveBack).Needs(Role.Operator);
    }

    static async Task<IResult> Get(Guid id, ReadModels views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindDeposit(id, cancellation), "deposit");

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Deposit);
        var after = query.AfterId;
        return query.Refusal()
            ?? (await views.ListDeposits(status, after, query.Limit, cancellation)).ToResult();
    }

    static async Task<IResult> GiveBack(
        Guid id,
        HttpContext context,
        DepositService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        return await service.GiveBack(id, context.Caller().Actor, note, cancellation) switch
        {
            DepositTold.Refused refused => Problem.Of(
                409,
                "deposit_not_refundable",
                $"The deposit is {refused.DepositStatus}; only one that is held can be given back, "
                    + "and never while a refund of it is on its way.",
                more: ("deposit_status", refused.DepositStatus)
            ),
            _ => Requests.JsonOr404(await views.FindDeposit(id, cancellation), "deposit"),
        };
    }
}
