using Veza.Host.Settling;

namespace Veza.Host.Workers;

/// <summary>Asks for payouts whose first request came to nothing, and about those that are under way.</summary>
sealed partial class PayoutWorker(
    Settings settings,
    PayoutDesk payouts,
    Wakes wakes,
    TimeProvider clock,
    ILogger<PayoutWorker> log
) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        while (!stopping.IsCancellationRequested)
        {
            await Rounds.Once(() => MoveAll(stopping), LogFailed, stopping);

            var most = Durations.Least(settings.Transfers.CheckInterval, settings.LeaseBeat);
            await wakes.Payouts.Wait(most, clock, stopping);
        }
    }

    async Task MoveAll(CancellationToken stopping)
    {
        while (await payouts.MoveDue(stopping))
        {
            // There may be more.
        }
    }

    [LoggerMessage(LogLevel.Error, "A round of payouts failed and will be repeated.")]
    partial void LogFailed(Exception error);
}
