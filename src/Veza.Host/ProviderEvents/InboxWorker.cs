namespace Veza.Host.ProviderEvents;

/// <summary>
/// Processes recorded webhooks: many at a time, event and effect in one transaction. A crash in between leaves the event
/// waiting and nothing changed.
/// </summary>
sealed partial class InboxWorker(
    Settings settings,
    IStore store,
    Decider decider,
    SettlementService settler,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<InboxWorker> logger
) : PollingWorker(TimeSpan.FromSeconds(1), clock, logger, wakes.Inbox)
{
    const int Most = 200;

    /// <summary>While one batch waits for the database, the other is being decided.</summary>
    const int Batches = 2;

    protected override Task ExecuteAsync(CancellationToken stopping) =>
        Task.WhenAll(Enumerable.Range(0, Batches).Select(_ => base.ExecuteAsync(stopping)));

    protected override async Task<bool> RunOnce(CancellationToken cancellation) =>
        await Process(Most, cancellation) == Most;

    /// <summary>One faulty event fails its whole batch, so after a failure each event is processed by itself.</summary>
    protected override Task Recover(CancellationToken cancellation) => ProcessOneByOne(cancellation);

    /// <summary>One batch; returns how many events it took.</summary>
    internal async Task<int> Process(
        int most,
        CancellationToken cancellation,
        List<WaitingEvent>? taken = null
    )
    {
        await using var session = await store.Begin(cancellation);
        var events = await session.TakeEvents(most, cancellation);
        taken?.AddRange(events);
        if (events.Count == 0)
        {
            return 0;
        }

        var now = Clock.GetUtcNow();
        var read = events
            .Select(waiting => (Event: waiting, Read: EventParser.Of(waiting, settings.IsLive)))
            .ToList();
        var observations = read.Where(entry => entry.Read.Observation is not null)
            .Select(entry => entry.Read.Observation!)
            .ToList();
        var conclusions = new Queue<EventResult>(
            await settler.Settle(session, observations, now, cancellation)
        );
        var closed = read.Select(entry =>
            {
                var conclusion = entry.Read.Observation is null
                    ? entry.Read.Conclusion!
                    : conclusions.Dequeue();
                return new ClosedEvent(entry.Event, conclusion.State, conclusion.Reason, conclusion.Awaits);
            })
            .ToList();
        await session.CloseEvents(closed, now, cancellation);
        await session.Commit(cancellation);
        foreach (var (waiting, _, reason, _) in closed.Where(entry => entry.State == EventState.Quarantined))
        {
            LogQuarantined(waiting.Provider, waiting.EventId, waiting.Type, reason);
        }

        foreach (var waiting in events.Where(waiting => waiting.ReceivedAt is not null))
        {
            Telemetry.WebhookLag.Record(
                Math.Max(0, (now - waiting.ReceivedAt!.Value).TotalSeconds),
                Telemetry.Tag("provider", waiting.Provider)
            );
        }

        wakes.Workers();
        wakes.Inquiries.Tap();
        return events.Count;
    }

#pragma warning disable CA1031 // Whatever is wrong with one event, the others are waiting.
    /// <summary>Poisons each event of the batch that cannot be processed, and processes the others.</summary>
    internal async Task ProcessOneByOne(CancellationToken stopping)
    {
        var taken = new List<WaitingEvent>();
        for (var count = 0; count < Most; count++)
        {
            try
            {
                taken.Clear();
                if (await decider.Retry(() => Process(1, stopping, taken), stopping) == 0)
                {
                    return;
                }
            }
            catch (Exception error)
                when (store.IsPassing(error) || stopping.IsCancellationRequested || taken.Count == 0)
            {
                // The database does not answer, or the host stops: the events wait.
                return;
            }
            catch (Exception error)
            {
                await Poison(taken[^1], error, stopping);
            }
        }
    }
#pragma warning restore CA1031

    async Task Poison(WaitingEvent waiting, Exception why, CancellationToken cancellation)
    {
        await using var session = await store.Begin(cancellation);
        await session.CloseEvents(
            [new ClosedEvent(waiting, EventState.Poisoned, why.Message)],
            Clock.GetUtcNow(),
            cancellation
        );
        await session.Commit(cancellation);
        LogPoisoned(why, waiting.EventId);
    }

    [LoggerMessage(LogLevel.Error, "The {Provider} event {Event} ({Type}) is quarantined: {Why}.")]
    partial void LogQuarantined(string provider, string @event, string type, string? why);

    [LoggerMessage(
        LogLevel.Error,
        "The event {Event} cannot be processed: it is poisoned. Replay it once the cause is fixed."
    )]
    partial void LogPoisoned(Exception error, string @event);
}
