using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Veza.Domain.Transfers;

namespace Veza.Host.AdminConsole;

/// <summary>All transfers by status, and one transfer with what an operator may tell it.</summary>
static class TransferPages
{
    const int RowsOnAPage = 25;

    public static void Map(WebApplication app)
    {
        app.MapGet("/", Overview).ForLooking();
        app.MapGet("/console/transfers/{id:guid}", Transfer).ForLooking();
        app.MapPost("/console/transfers/{id:guid}/retry", Retry).ForActing();
        app.MapPost("/console/transfers/{id:guid}/write-off", WriteOff).ForActing();
        app.MapPost("/console/transfers/{id:guid}/redirect", Redirect).ForActing();
    }

    static async Task<IResult> Overview(
        HttpContext context,
        ReadModels views,
        ProviderEventLog log,
        ReconciliationRuns runs,
        Alarms alarms,
        CancellationToken cancellation
    )
    {
        var query = new ListQuery(context.Request);
        var status = query.OneOf("status", Diagram.States);
        var (order, after) = (query.Id("order_id"), query.AfterId);
        if (query.Refusal() is not null)
        {
            return Results.NotFound();
        }

        var page = await views.ListTransfers(status, null, order, after, RowsOnAPage, cancellation);
        return new RazorComponentResult<Overview>(
            new
            {
                Counts = (IReadOnlyDictionary<string, long>)await views.CountTransfers(cancellation),
                Transfers = ConsolePages.ParseAll(page.Items),
                Status = status,
                Order = order,
                IsFirst = after is null,
                BooksDisagree = await runs.Last(cancellation) is { } last
                    && ReconciliationPages.Disagrees(ConsolePages.Parse(last)),
                Webhooks = (await log.ToLookAt(cancellation)).Count,
                Attention = (await alarms.Raised(cancellation)).Count,
                Next = page.HasMore ? Requests.Cursor(page.Last!.Value.ToByteArray()) : null,
            }
        );
    }

    static async Task<IResult> Transfer(Guid id, ReadModels views, CancellationToken cancellation) =>
        await views.FindTransfer(id, cancellation) is { } json
            ? new RazorComponentResult<TransferPage>(new { Transfer = ConsolePages.Parse(json) })
            : Results.NotFound();

    static Task<IResult> Retry(
        Guid id,
        [FromForm] int version,
        HttpContext context,
        TransferService service,
        CancellationToken cancellation
    ) =>
        Tell(
            id,
            TransferSignal.RetryRequested,
            null,
            version,
            "retry_requested",
            context,
            service,
            cancellation
        );

    static async Task<IResult> Redirect(
        Guid id,
        [FromForm] string? note,
        [FromForm] int version,
        HttpContext context,
        TransferService service,
        SellerRepository sellers,
        CancellationToken cancellation
    )
    {
        if (OperatorNote.Read(note) is not { } why)
        {
            return Shown(id, "note_invalid", context);
        }

        var told = await service.Redirect(
            id,
            seller => sellers.AccountOf(seller, cancellation),
            context.User.Actor(),
            why,
            version,
            cancellation
        );
        return Told(id, told, "redirected", context);
    }

    static async Task<IResult> WriteOff(
        Guid id,
        [FromForm] string? note,
        [FromForm] int version,
        HttpContext context,
        TransferService service,
        CancellationToken cancellation
    )
    {
        if (OperatorNote.Read(note) is not { } why)
        {
            return Shown(id, "note_invalid", context);
        }

        var signal = TransferSignal.WriteOffRequested;
        return await Tell(id, signal, why, version, "written_off", context, service, cancellation);
    }

    static async Task<IResult> Tell(
        Guid id,
        TransferSignal signal,
        string? note,
        int version,
        string done,
        HttpContext context,
        TransferService service,
        CancellationToken cancellation
    )
    {
        var told = await service.Tell(id, signal, context.User.Actor(), note, version, cancellation);
        return Told(id, told, done, context);
    }

    static IResult Told(Guid id, TransferTold told, string done, HttpContext context) =>
        told is TransferTold.NoSuchTransfer
            ? Results.NotFound()
            : Shown(id, told is TransferTold.Done ? done : "overtaken", context);

    /// <summary>The transfer's page again, with what has become of the form.</summary>
    static IResult Shown(Guid id, string notice, HttpContext context)
    {
        Notice.Leave(context, notice);
        return Results.Redirect($"/console/transfers/{id}");
    }
}
