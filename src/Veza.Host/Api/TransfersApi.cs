using Veza.Adapters.Postgres;
using Veza.Domain.Transfers;
using Veza.Host.Settling;

namespace Veza.Host.Api;

static class TransfersApi
{
    static readonly IReadOnlyList<string> Statuses =
    [
        "pending",
        "completed",
        "failed",
        "reversal_pending",
        "reversed",
        "permanently_failed",
        "cancelled",
        "written_off",
    ];

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes
            .MapGet("/api/v1/transfers/{id:guid}", Get)
            .Needs(Role.Read)
            .WithSummary("One transfer with its reversals and its history");
        routes.MapGet("/api/v1/transfers", List).Needs(Role.Read).WithSummary("Transfers, newest first");
        routes
            .MapPost("/api/v1/admin/transfers/{id:guid}/retry", Retry)
            .Needs(Role.Operator)
            .WithSummary("Tries again what failed");
        routes
            .MapPost("/api/v1/admin/transfers/{id:guid}/write-off", WriteOff)
            .Needs(Role.Operator)
            .WithSummary("Gives up what cannot be moved, with a note for the books");
    }

    static async Task<IResult> Get(Guid id, Views views, CancellationToken cancellation) =>
        Requests.JsonOr404(await views.FindTransfer(id, cancellation), "transfer");

    static async Task<IResult> List(HttpRequest request, Views views, CancellationToken cancellation)
    {
        var query = new ListQuery(request);
        var status = query.OneOf("status", Statuses);
        var (seller, order, after) = (query.Text("seller_id"), query.Id("order_id"), query.AfterId);
        return query.Refusal()
            ?? (
                await views.ListTransfers(status, seller, order, after, query.Limit, cancellation)
            ).ToResult();
    }

    static async Task<IResult> Retry(
        Guid id,
        HttpContext context,
        TransferDesk desk,
        Views views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.OptionalText("note", 1000);
        fields.RefuseOthers();
        return fields.Errors.Count > 0
            ? Problem.Invalid(fields.Errors)
            : await Answer(
                await desk.Tell(
                    id,
                    TransferSignal.RetryRequested,
                    context.Caller().Actor,
                    note,
                    cancellation
                ),
                id,
                views,
                cancellation
            );
    }

    static async Task<IResult> WriteOff(
        Guid id,
        HttpContext context,
        TransferDesk desk,
        Views views,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        return fields.Errors.Count > 0
            ? Problem.Invalid(fields.Errors)
            : await Answer(
                await desk.Tell(
                    id,
                    TransferSignal.WriteOffRequested,
                    context.Caller().Actor,
                    note,
                    cancellation
                ),
                id,
                views,
                cancellation
            );
    }

    static async Task<IResult> Answer(
        TransferTold told,
        Guid id,
        Views views,
        CancellationToken cancellation
    ) =>
        told is TransferTold.Refused refused
            ? Problem.Of(
                409,
                "transfer_not_retryable",
                $"The transfer is {refused.TransferStatus}; only failed and permanently_failed ones can be "
                    + "retried, and only permanently_failed ones written off.",
                more: ("transfer_status", refused.TransferStatus)
            )
            : Requests.JsonOr404(await views.FindTransfer(id, cancellation), "transfer");
}
