using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace Veza.Host.AdminConsole;

/// <summary>The providers' webhooks that had no effect, to be processed again.</summary>
static class WebhookPages
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/console/webhooks", Events).ForLooking();
        app.MapPost("/console/webhooks/{id:long}/replay", Replay).ForActing();
        app.MapPost("/console/webhooks/{id:long}/dismiss", Dismiss).ForActing();
    }

    static async Task<IResult> Events(ProviderEventLog log, CancellationToken cancellation) =>
        new RazorComponentResult<Events>(
            new { Found = ConsolePages.ParseAll(await log.ToLookAt(cancellation)) }
        );

    static async Task<IResult> Replay(
        long id,
        [FromForm] IFormCollection form,
        HttpContext context,
        ProviderEventLog log,
        WorkSignals wakes,
        CancellationToken cancellation
    )
    {
        var replayed = await log.Replay(new WebhookFilter(id), context.User.Actor(), cancellation);
        wakes.Inbox.Tap();
        Notice.Leave(context, replayed > 0 ? "replay_requested" : "overtaken");
        return Results.Redirect("/console/webhooks");
    }

    static async Task<IResult> Dismiss(
        long id,
        [FromForm] string? note,
        HttpContext context,
        ProviderEventLog log,
        CancellationToken cancellation
    )
    {
        var why = OperatorNote.Read(note);
        var isDone = why is not null && await log.Dismiss(id, context.User.Actor(), why, cancellation);
        Notice.Leave(
            context,
            isDone ? "dismissed"
                : why is null ? "note_invalid"
                : "overtaken"
        );
        return Results.Redirect("/console/webhooks");
    }
}
