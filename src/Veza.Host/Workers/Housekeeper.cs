using Veza.Adapters.Postgres;

namespace Veza.Host.Workers;

/// <summary>Once an hour what is older than <c>RETENTION</c> goes, a little at a time.</summary>
sealed partial class Housekeeper(
    Settings settings,
    Housekeeping housekeeping,
    TimeProvider clock,
    ILogger<Housekeeper> log
) : BackgroundService
{
    static readonly TimeSpan Beat = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using var beat = new PeriodicTimer(Beat, clock);
        while (await beat.WaitForNextTickAsync(stopping))
        {
            await Rounds.Once(() => Keep(stopping), error => LogFailed(error.Message), stopping);
        }
    }

    async Task Keep(CancellationToken stopping)
    {
        while (await housekeeping.Prune(settings.Retention, stopping) > 0)
        {
            // There may be more.
        }
    }

    [LoggerMessage(LogLevel.Warning, "What is old could not be taken out; again in an hour: {Why}")]
    partial void LogFailed(string why);
}
