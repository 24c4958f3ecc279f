using System.Text.Json;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Veza.Host.AdminConsole;

/// <summary>Whether the books agree, what differs, and what needs attention, with its runbook.</summary>
static class ReconciliationPages
{
    const int RunsShown = 60;

    public static void Map(WebApplication app)
    {
        app.MapGet("/console/books", Last).ForLooking();
        app.MapGet("/console/books/{id:guid}", Run).ForLooking();
        app.MapPost("/console/books/compare", Compare).ForActing();
        app.MapPost("/console/books/{id:guid}/findings/{position:int}/acknowledge", Acknowledge).ForActing();
        app.MapGet("/console/runbooks/{alarm}", Runbook).ForLooking();
    }

    public static bool Disagrees(JsonElement run) =>
        run.Text("status") == "failed" || run.Number("differences") > 0;

    /// <summary>The last run that ended.</summary>
    static async Task<IResult> Last(ReconciliationRuns runs, Alarms alarms, CancellationToken cancellation) =>
        await Page(await runs.Last(cancellation), runs, alarms, cancellation);

    static async Task<IResult> Run(
        Guid id,
        ReconciliationRuns runs,
        Alarms alarms,
        CancellationToken cancellation
    ) =>
        await runs.Find(id, cancellation) is { } run
            ? await Page(run, runs, alarms, cancellation)
            : Results.NotFound();

    static async Task<IResult> Page(
        string? shown,
        ReconciliationRuns runs,
        Alarms alarms,
        CancellationToken cancellation
    ) =>
        new RazorComponentResult<Books>(
            new
            {
                Shown = shown is null ? (JsonElement?)null : ConsolePages.Parse(shown),
                Runs = ConsolePages.ParseAll((await runs.List(null, RunsShown, cancellation)).Items),
                Raised = await alarms.Raised(cancellation),
                Walk = ConsolePages.Parse(await runs.EventWalk(cancellation)),
            }
        );

    static async Task<IResult> Compare(
        [FromForm] IFormCollection form,
        HttpContext context,
        Settings settings,
        ReconciliationService service,
        ReconciliationRequests requests,
        TimeProvider clock,
        CancellationToken cancellation
    )
    {
        var now = clock.GetUtcNow();
        var scope = new Scope(
            now.AddDays(-30),
            now - settings.ReconcileGrace,
            form["heal"] == "yes",
            context.User.Actor()
        );
        requests.Add(await service.Begin(Guid.CreateVersion7(now), scope, "api", cancellation), scope);
        return Results.Redirect("/console/books");
    }

    static async Task<IResult> Acknowledge(
        Guid id,
        int position,
        [FromForm] string? note,
        HttpContext context,
        ReconciliationRuns runs,
        CancellationToken cancellation
    )
    {
        if (OperatorNote.Read(note) is not { } how)
        {
            Notice.Leave(context, "note_invalid");
        }
        else if (await runs.Acknowledge(id, position, context.User.Actor(), how, cancellation))
        {
            Notice.Leave(context, "resolved");
        }
        else
        {
            return Results.NotFound();
        }

        return Results.Redirect($"/console/books/{id}");
    }

    /// <summary>As it stands in the repository: text that can be read as it is.</summary>
    static async Task<IResult> Runbook(string alarm, CancellationToken cancellation)
    {
        using var text = typeof(ReconciliationPages).Assembly.GetManifestResourceStream(
            $"runbooks/{alarm}.md"
        );
        if (text is null)
        {
            return Results.NotFound();
        }

        using var reader = new StreamReader(text);
        return new RazorComponentResult<Runbook>(new { Text = await reader.ReadToEndAsync(cancellation) });
    }
}
