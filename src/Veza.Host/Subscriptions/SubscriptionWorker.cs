namespace Veza.Host.Subscriptions;

/// <summary>Charges the periods that have begun, and polls charges that no webhook has reported.</summary>
sealed class SubscriptionWorker(
    Settings settings,
    SubscriptionService subscriptions,
    TimeProvider clock,
    ILogger<SubscriptionWorker> logger
) : PollingWorker(settings.SubscriptionCheckInterval, clock, logger)
{
    protected override Task<bool> RunOnce(CancellationToken cancellation) =>
        subscriptions.MoveDue(cancellation);
}
