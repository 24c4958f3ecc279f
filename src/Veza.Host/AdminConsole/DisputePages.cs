using Microsoft.AspNetCore.Http.HttpResults;

namespace Veza.Host.AdminConsole;

/// <summary>Buyers' disputes, newest first.</summary>
static class DisputePages
{
    const int RowsOnAPage = 25;

    public static void Map(WebApplication app) => app.MapGet("/console/disputes", List).ForLooking();

    static async Task<IResult> List(HttpContext context, ReadModels views, CancellationToken cancellation)
    {
        var query = new ListQuery(context.Request);
        var status = query.OneOf("status", Statuses.Dispute);
        var (order, after) = (query.Id("order_id"), query.AfterId);
        if (query.Refusal() is not null)
        {
            return Results.NotFound();
        }

        var page = await views.ListDisputes(status, order, after, RowsOnAPage, cancellation);
        return new RazorComponentResult<DisputeList>(
            new
            {
                Found = ConsolePages.ParseAll(page.Items),
                Status = status,
                Order = order,
                IsFirst = after is null,
                Next = page.HasMore ? Requests.Cursor(page.Last!.Value.ToByteArray()) : null,
            }
        );
    }
}
