namespace Veza.Host.Payouts;

/// <summary>Retries payouts whose first request got no answer, and polls those in transit.</summary>
sealed class PayoutWorker(
    Settings settings,
    PayoutService payouts,
    WorkSignals wakes,
    TimeProvider clock,
    ILogger<PayoutWorker> logger
)
    : PollingWorker(
        Durations.Least(settings.Transfers.CheckInterval, settings.LeaseBeat),
        clock,
        logger,
        wakes.Payouts
    )
{
    protected override Task<bool> RunOnce(CancellationToken cancellation) => payouts.MoveDue(cancellation);
}
