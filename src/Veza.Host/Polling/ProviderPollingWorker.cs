namespace Veza.Host.Polling;

/// <summary>
/// Polls the providers about what no webhook has reported: awaited payments, undecided refunds, open disputes, events that
/// came before their object; returns deposits that belong to nothing. Chosen by state and due time, never by age.
/// </summary>
sealed class ProviderPollingWorker(
    Settings settings,
    IStore store,
    PaymentService payments,
    RefundService refunds,
    DisputeService disputes,
    DepositService deposits,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<ProviderPollingWorker> logger
)
    // The second sweep comes when the leases of the host before this one have expired, if it was killed.
    : PollingWorker(Durations.Least(settings.SweepInterval, settings.Lease), clock, logger)
{
    bool hasSwept;

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        await Sweep(cancellation);
        Interval = hasSwept ? settings.SweepInterval : Interval;
        hasSwept = true;
        return false;
    }

    internal async Task Sweep(CancellationToken cancellation)
    {
        if (await store.ReleaseParked(cancellation) > 0)
        {
            wakes.Inbox.Tap();
        }

        while (
            await refunds.AskAboutDue(cancellation)
            || await payments.AskAboutDue(cancellation)
            || await disputes.AskAboutDue(cancellation)
            || await deposits.MoveDue(cancellation)
        )
        {
            // There may be more.
        }

        wakes.Workers();
    }
}
