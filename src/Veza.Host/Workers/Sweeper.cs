using Veza.Adapters.Storage;
using Veza.Host.Settling;

namespace Veza.Host.Workers;

/// <summary>
/// Asks about what should have been heard of: payments awaited, refunds undecided, disputes open, events that came
/// before their object; gives back what belongs to nothing. Chosen by state and by their own next time, never by age.
/// </summary>
sealed partial class Sweeper(
    Settings settings,
    IStore store,
    PaymentDesk payments,
    RefundDesk refunds,
    DisputeDesk disputes,
    DepositDesk deposits,
    Wakes wakes,
    TimeProvider clock,
    ILogger<Sweeper> log
) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        await Rounds.Once(() => Sweep(stopping), LogFailed, stopping);
        // What the host before this one was asking about when it was killed is free again by then.
        await Task.Delay(Durations.Least(settings.SweepInterval, settings.Lease), clock, stopping);
        using var beat = new PeriodicTimer(settings.SweepInterval, clock);
        do
        {
            await Rounds.Once(() => Sweep(stopping), LogFailed, stopping);
        } while (await beat.WaitForNextTickAsync(stopping));
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

    [LoggerMessage(LogLevel.Warning, "This sweep failed and will be repeated.")]
    partial void LogFailed(Exception error);
}
