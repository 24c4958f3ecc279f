using System.Text.Json;

namespace Veza.Host.ProviderEvents;

/// <summary>
/// Walks Stripe's own list of the platform's events, which it keeps for 30 days, and records those that no webhook has
/// brought: each is a gap, counted, and takes the same way as any other event.
/// </summary>
sealed partial class StripeEventBackfillWorker(
    Settings settings,
    IStore store,
    StripeReader books,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<StripeEventBackfillWorker> logger
) : PollingWorker(settings.EventWalkInterval, clock, logger)
{
    const string Name = "stripe_events";

    /// <summary>Events may show in the list a little after their own time.</summary>
    static readonly TimeSpan Overlap = TimeSpan.FromMinutes(10);

    /// <summary>How far is written down after each, so that a crash repeats no more than one.</summary>
    static readonly TimeSpan Window = TimeSpan.FromHours(1);

    static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        await Walk(cancellation);
        return false;
    }

    /// <summary>Up to the events whose webhooks may still be on their way. Answers how many were new.</summary>
    internal async Task<int> Walk(CancellationToken cancellation)
    {
        var now = Clock.GetUtcNow();
        var upto = now - settings.SweepAfter;
        if (await store.BeginWalk(Name, upto, now, settings.LeaseTerm, cancellation) is not { } walked)
        {
            return 0;
        }

        var from = walked < upto - Kept ? upto - Kept : walked;
        var gaps = 0;
        while (from < upto)
        {
            var until = from + Window < upto ? from + Window : upto;
            var (seen, fresh) = await Record(from - Overlap, until, cancellation);
            gaps += fresh;
            now = Clock.GetUtcNow();
            await store.EndWalk(Name, until, seen, fresh, now + settings.LeaseTerm, now, cancellation);
            from = until;
        }

        if (gaps > 0)
        {
            LogGaps(gaps);
            wakes.Inbox.Tap();
        }

        return gaps;
    }

    async Task<(int Seen, int New)> Record(
        DateTimeOffset from,
        DateTimeOffset until,
        CancellationToken cancellation
    )
    {
        var (seen, fresh) = (0, 0);
        string? after = null;
        do
        {
            var page = await books.Events(from, until, after, cancellation);
            if (page.Items.Count > 0)
            {
                seen += page.Items.Count;
                fresh += await store.RecordEvents(
                    [.. page.Items.Select(item => Read(item) with { FromList = true })],
                    Clock.GetUtcNow(),
                    cancellation
                );
            }

            after = page.Last;
        } while (after is not null);

        return (seen, fresh);
    }

    /// <summary>
    /// As a webhook brings it: a dispute is known by its payment, so that it can wait for that; anything else by its own
    /// id.
    /// </summary>
    internal static ReceivedEvent Read(JsonElement root)
    {
        var about = WebhookReceiver.Inner(WebhookReceiver.Inner(root, "data"), "object");
        var type = JsonFields.OptionalText(root, "type") ?? "unknown";
        var payment = type.StartsWith("charge.dispute.", StringComparison.Ordinal)
            ? JsonFields.OptionalText(about, "payment_intent")
            : null;
        return new(
            "stripe",
            JsonFields.OptionalText(root, "id") ?? "",
            type,
            payment ?? JsonFields.OptionalText(about, "id") ?? "",
            root.GetRawText()
        );
    }

    [LoggerMessage(
        LogLevel.Warning,
        "{Gaps} events were missing: no webhook has delivered them. They were read from Stripe's list of events."
    )]
    partial void LogGaps(int gaps);
}
