using Npgsql;
using Veza.Adapters.Postgres;
using Veza.Domain;
using Veza.Domain.Transfers;
using Veza.Host.Settling;
using Veza.Host.Workers;

namespace Veza.Host.Api;

/// <summary>What an operator tells a transfer, from the API and from the console alike.</summary>
sealed class TransferDesk(
    Settings settings,
    NpgsqlDataSource database,
    Views views,
    Wakes wakes,
    TimeProvider clock
)
{
    public Task<IResult> Tell(
        Guid id,
        TransferSignal signal,
        string actor,
        string? note,
        CancellationToken cancellation
    ) =>
        Conflicts.DecideAgain(async () =>
        {
            await using var session = await Session.Begin(database, cancellation);
            if (!(await session.Transfers([id], cancellation)).TryGetValue(id, out var transfer))
            {
                return Problem.NotFound("transfer");
            }

            var now = clock.GetUtcNow();
            return await transfer
                .Value.Apply(settings.TransferRules, now, signal)
                .Match(
                    advanced: async (next, movements) =>
                    {
                        var changes = new Changes();
                        var cause = new Cause(actor, Detail: note);
                        changes.Save(transfer, next, movements, signal.Word(), cause, now);
                        await session.Write(changes, now, cancellation);
                        await session.Commit(cancellation);
                        wakes.Workers();
                        return Requests.Json((await views.FindTransfer(id, cancellation))!);
                    },
                    unchanged: async () => Requests.Json((await views.FindTransfer(id, cancellation))!),
                    refused: _ =>
                    {
                        var status = transfer.Value.Status.Word();
                        return Task.FromResult(
                            Problem.Of(
                                409,
                                "transfer_not_retryable",
                                $"The transfer is {status}; only failed and permanently_failed ones can be retried, "
                                    + "and only permanently_failed ones written off.",
                                more: ("transfer_status", status)
                            )
                        );
                    }
                );
        });
}

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
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.OptionalText("note", 1000);
        fields.RefuseOthers();
        return fields.Errors.Count > 0
            ? Problem.Invalid(fields.Errors)
            : await desk.Tell(id, TransferSignal.RetryRequested, context.Caller().Actor, note, cancellation);
    }

    static async Task<IResult> WriteOff(
        Guid id,
        HttpContext context,
        TransferDesk desk,
        CancellationToken cancellation
    )
    {
        var fields = await context.Request.ReadOptionalFields(cancellation);
        var note = fields.Text("note", 1000);
        fields.RefuseOthers();
        return fields.Errors.Count > 0
            ? Problem.Invalid(fields.Errors)
            : await desk.Tell(
                id,
                TransferSignal.WriteOffRequested,
                context.Caller().Actor,
                note,
                cancellation
            );
    }
}
