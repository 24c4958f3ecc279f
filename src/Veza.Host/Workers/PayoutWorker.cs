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
            try
            {
                while (await payouts.MoveDue(stopping))
                {
                    // There may be more.
                }
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested)
            {
                return;
            }
#pragma warning disable CA1031 // The leases bring back what this round could not move.
            catch (Exception error)
#pragma warning restore CA1031
            {
                LogFailed(error);
            }

            await wakes.Payouts.Wait(settings.Transfers.CheckInterval, clock, stopping);
        }
    }

    [LoggerMessage(LogLevel.Error, "A round of payouts failed and will be repeated.")]
    partial void LogFailed(Exception error);
}
