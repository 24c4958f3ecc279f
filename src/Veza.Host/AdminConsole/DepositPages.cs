using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Veza.Host.AdminConsole;

/// <summary>Money that belongs to nothing, and giving it back.</summary>
static class DepositPages
{
    const int RowsOnAPage = 25;

    public static void Map(WebApplication app)
    {
        app.MapGet("/console/deposits", List).ForLooking();
        app.MapPost("/console/deposits/{id:guid}/refund", GiveBack).ForActing();
    }

    static async Task<IResult> List(HttpContext context, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(context.Request);
        var status = query.OneOf("status", Statuses.Deposit);
        var after = query.AfterId;
        if (query.Refusal() is not null)
        {
            return Results.NotFound();
        }

        var page = await views.ListDeposits(status, after, RowsOnAPage, cancellation);
        return new RazorComponentResult<DepositList>(
            new
            {
                Found = ConsolePages.ParseAll(page.Items),
                Status = status,
                IsFirst = after is null,
                Next = page.HasMore ? Requests.Cursor(page.Last!.Value.ToByteArray()) : null,
            }
        );
    }

    static async Task<IResult> GiveBack(
        Guid id,
        [FromForm] string? note,
        HttpContext context,
        DepositService service,
        CancellationToken cancellation
    )
    {
        const string Back = "/console/deposits?status=held";
        if (OperatorNote.Read(note) is not { } why)
        {
            Notice.Leave(context, "note_invalid");
            return Results.Redirect(Back);
        }

        var told = await service.GiveBack(id, context.User.Actor(), why, cancellation);
        if (told is DepositTold.NoSuchDeposit)
        {
            return Results.NotFound();
        }

        Notice.Leave(context, told is DepositTold.Done ? "return_requested" : "overtaken");
        return Results.Redirect(Back);
    }
}
