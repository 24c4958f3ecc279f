namespace Veza.Host.Background;

/// <summary>Once an hour: deletes what is older than <c>RETENTION</c>, a batch at a time.</summary>
sealed class RetentionWorker(
    Settings settings,
    RetentionStore housekeeping,
    TimeProvider clock,
    ILogger<RetentionWorker> logger
) : PollingWorker(TimeSpan.FromHours(1), clock, logger)
{
    protected override bool WaitsFirst => true;

    protected override async Task<bool> RunOnce(CancellationToken cancellation) =>
        await housekeeping.Prune(settings.Retention, cancellation) > 0;
}
