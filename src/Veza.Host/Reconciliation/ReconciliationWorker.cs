namespace Veza.Host.Reconciliation;

/// <summary>
/// Every <c>RECONCILE_INTERVAL</c> one of the hosts reconciles what has changed since the last run with both providers, and
/// logs the alarms that ring.
/// </summary>
sealed partial class ReconciliationWorker(
    Settings settings,
    IStore store,
    ReconciliationService service,
    Alarms alarms,
    TimeProvider clock,
    ILogger<ReconciliationWorker> logger
) : PollingWorker(settings.ReconcileInterval, clock, logger)
{
    const string Name = "reconciliation";

    static readonly TimeSpan Longest = TimeSpan.FromDays(30);

    protected override bool WaitsFirst => true;

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        try
        {
            await Compare(cancellation);
            return false;
        }
        finally
        {
            // The alarms are logged even if a provider could not be compared with.
            await Look(cancellation);
        }
    }

    /// <summary>
    /// From a little before where the last run ended that agreed, so that what was too young then is looked at now, and
    /// what differed then differs until it is mended or a person says that it is settled.
    /// </summary>
    internal async Task<Report?> Compare(CancellationToken cancellation)
    {
        var now = Clock.GetUtcNow();
        var cutOff = now - settings.ReconcileGrace;
        var lease = settings.ReconcileInterval * 0.9;
        if (await store.BeginWalk(Name, cutOff, now, lease, cancellation) is not { } walked)
        {
            return null;
        }

        var since = walked - settings.ReconcileGrace * 2;
        var scope = new Scope(
            since < now - Longest ? now - Longest : since,
            cutOff,
            settings.ReconcileHeal,
            "reconciliation"
        );
        var id = await service.Begin(Guid.CreateVersion7(now), scope, "schedule", cancellation);
        var (report, error) = await service.Finish(id, scope, _ => { }, cancellation);
        if (report is null)
        {
            LogNotCompared(error);
            return null;
        }

        now = Clock.GetUtcNow();
        var differences = report.Findings.Count(finding => finding.Counts);
        var upto = report.Agrees ? cutOff : walked;
        await store.EndWalk(Name, upto, report.Compared.Orders, differences, now, now, cancellation);
        foreach (var finding in report.Findings.Where(finding => finding.Healed || finding.Counts))
        {
            LogFinding(
                finding.Reason,
                finding.Entity,
                finding.EntityId,
                finding.Ours,
                finding.Theirs,
                finding.Healed
            );
        }

        return report;
    }

    internal async Task Look(CancellationToken cancellation)
    {
        foreach (var raised in await alarms.Raised(cancellation))
        {
            LogAlarm(raised.Word, raised.Count, raised.Since, raised.Example, raised.Runbook);
        }
    }

    [LoggerMessage(
        LogLevel.Error,
        "Reconciliation ({Reason}): {Entity} {Id} is '{Ours}' here and '{Theirs}' at the provider. Healed: {Healed}."
    )]
    partial void LogFinding(string reason, string entity, string id, string ours, string theirs, bool healed);

    [LoggerMessage(LogLevel.Error, "The reconciliation did not finish: {Why}")]
    partial void LogNotCompared(string? why);

    [LoggerMessage(
        LogLevel.Error,
        "Alarm {Alarm}: {Count}, the oldest since {Since:u}, for example {Example}. Runbook: {Runbook}"
    )]
    partial void LogAlarm(string alarm, long count, DateTimeOffset since, string example, string runbook);
}
