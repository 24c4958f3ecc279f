using Veza.Host.Settling;

namespace Veza.Host.Workers;

/// <summary>Charges the periods that have begun, and asks about charges that nobody has spoken of.</summary>
sealed partial class SubscriptionWorker(
    Settings settings,
    SubscriptionDesk subscriptions,
    TimeProvider clock,
    ILogger<SubscriptionWorker> log
) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using var beat = new PeriodicTimer(settings.SubscriptionCheckInterval, clock);
        do
        {
            await Rounds.Once(() => MoveAll(stopping), LogFailed, stopping);
        } while (await beat.WaitForNextTickAsync(stopping));
    }

    async Task MoveAll(CancellationToken stopping)
    {
        while (await subscriptions.MoveDue(stopping))
        {
            // There may be more.
        }
    }

    [LoggerMessage(LogLevel.Error, "A round of subscriptions failed and will be repeated.")]
    partial void LogFailed(Exception error);
}
