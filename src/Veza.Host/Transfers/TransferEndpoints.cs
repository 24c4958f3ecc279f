using Veza.Domain.Transfers;

namespace Veza.Host.Transfers;

static class TransferEndpoints
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapGet("/api/v1/transfers/{id:guid}", Get).Needs(Role.Read);
        routes.MapGet("/api/v1/transfers", List).Needs(Role.Read);
        routes.MapPost("/api/v1/admin/transfers/{id:guid}/retry", Retry).Needs(Role.Operator);
        routes.MapPost("/api/v1/admin/transfers/{id:guid}/write-off", WriteOff).Needs(Role.Operator);
        routes.MapPost("/api/v1/admin/transfers/{id:guid}/redirect", Redirect).Needs(Role.Operator);
    }

    static async Task<IResult> Get(
        Guid id,
        HttpContext context,
        ReadModels views,
        CancellationToken cancellation
    ) => context.Tagged(await views.FindTransfer(id, cancellation), "transfer");

    static async Task<IResult> List(HttpRequest request, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses.Transfer);
        var (seller, order, after) = (query.Text("seller_id"), query.Id("order_id"), query.AfterId);
        return query.Refusal()
            ?? (
                await views.ListTransfers(status, seller, order, after, query.Limit, cancellation)
            ).ToResult();
    }

    static async Task<IResult> Retry(
        Guid id,
        HttpContext context,
        TransferService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.TextOrNull("note", 1000);
        return await Tell(
            id,
            TransferSignal.RetryRequested,
            note,
            fields,
            context,
            service,
            views,
            cancellation
        );
    }

    static async Task<IResult> WriteOff(
        Guid id,
        HttpContext context,
        TransferService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        var signal = TransferSignal.WriteOffRequested;
        return await Tell(id, signal, note, fields, context, service, views, cancellation);
    }

    static async Task<IResult> Redirect(
        Guid id,
        HttpContext context,
        TransferService service,
        SellerRepository sellers,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        var version = context.IfMatch(fields);
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        var told = await service.Redirect(
            id,
            seller => sellers.AccountOf(seller, cancellation),
            context.Caller().Actor,
            note,
            version,
            cancellation
        );
        return told switch
        {
            TransferTold.Refused refused => Problem.Of(
                409,
                "transfer_not_redirectable",
                $"The transfer is {refused.TransferStatus}; only one that has certainly not left can be redirected, "
                    + "and only to another account than its own.",
                more: ("transfer_status", refused.TransferStatus)
            ),
            TransferTold.Overtaken => Preconditions.Failed(),
            _ => context.Tagged(await views.FindTransfer(id, cancellation), "transfer"),
        };
    }

    static async Task<IResult> Tell(
        Guid id,
        TransferSignal signal,
        string? note,
        JsonBodyReader fields,
        HttpContext context,
        TransferService service,
        ReadModels views,
        CancellationToken cancellation
    )
    {
        fields.RefuseOthers();
        var version = context.IfMatch(fields);
        if (fields.Errors.Count > 0)
        {
            return Problem.Invalid(fields.Errors);
        }

        return await service.Tell(id, signal, context.Caller().Actor, note, version, cancellation) switch
        {
            TransferTold.Refused refused => Problem.Of(
                409,
                "transfer_not_retryable",
                $"The transfer is {refused.TransferStatus}; failed and permanently_failed ones can be retried, "
                    + "permanently_failed ones written off, and both while a reversal waits for the seller's funds; "
                    + "never while a call is on its way or in doubt.",
                more: ("transfer_status", refused.TransferStatus)
            ),
            TransferTold.Overtaken => Preconditions.Failed(),
            _ => context.Tagged(await views.FindTransfer(id, cancellation), "transfer"),
        };
    }
}
