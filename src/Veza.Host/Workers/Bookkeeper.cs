using System.Threading.Channels;
using Veza.Adapters.Postgres;
using Veza.Adapters.Storage;
using Veza.Host.Reconciling;

namespace Veza.Host.Workers;

/// <summary>
/// Every <c>RECONCILE_INTERVAL</c> one of the hosts compares what has changed since the last time with both providers, and
/// looks for what is stuck. What is asked for through the API runs here too, one after the other.
/// </summary>
sealed partial class Bookkeeper(
    Settings settings,
    IStore store,
    ReconciliationDesk desk,
    Alarms alarms,
    TimeProvider clock,
    ILogger<Bookkeeper> log
) : BackgroundService
{
    const string Name = "reconciliation";

    static readonly TimeSpan Longest = TimeSpan.FromDays(30);

    readonly Channel<(Guid Id, Scope Scope)> asked = Channel.CreateUnbounded<(Guid, Scope)>();

    /// <summary>Runs it soon; its row says how it goes.</summary>
    public void Ask(Guid id, Scope scope) => asked.Writer.TryWrite((id, scope));

    protected override Task ExecuteAsync(CancellationToken stopping) =>
        Task.WhenAll(Serve(stopping), Repeat(stopping));

    async Task Serve(CancellationToken stopping)
    {
        await foreach (var (id, scope) in asked.Reader.ReadAllAsync(stopping))
        {
            await Rounds.Once(
                () => desk.Finish(id, scope, _ => { }, stopping),
                error => LogFailed(error.Message),
                stopping
            );
        }
    }

    async Task Repeat(CancellationToken stopping)
    {
        using var beat = new PeriodicTimer(settings.ReconcileInterval, clock);
        while (await beat.WaitForNextTickAsync(stopping))
        {
            await Rounds.Once(() => Compare(stopping), error => LogFailed(error.Message), stopping);
            await Rounds.Once(() => Look(stopping), error => LogFailed(error.Message), stopping);
        }
    }

    /// <summary>
    /// From a little before where the last run ended that agreed, so that what was too young then is looked at now, and
    /// what differed then differs until it is mended or a person says that it is settled.
    /// </summary>
    internal async Task<Report?> Compare(CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
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
        var id = await desk.Begin(Guid.CreateVersion7(now), scope, "schedule", cancellation);
        var (report, error) = await desk.Finish(id, scope, _ => { }, cancellation);
        if (report is null)
        {
            LogNotCompared(error);
            return null;
        }

        now = clock.GetUtcNow();
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
        "The books differ ({Reason}): {Entity} {Id}, here '{Ours}', there '{Theirs}'. Healed: {Healed}."
    )]
    partial void LogFinding(string reason, string entity, string id, string ours, string theirs, bool healed);

    [LoggerMessage(LogLevel.Error, "The books could not be compared: {Why}")]
    partial void LogNotCompared(string? why);

    [LoggerMessage(
        LogLevel.Error,
        "Alarm {Alarm}: {Count}, the oldest since {Since:u}, such as {Example}. What to do: {Runbook}"
    )]
    partial void LogAlarm(string alarm, long count, DateTimeOffset since, string example, string runbook);

    [LoggerMessage(LogLevel.Warning, "A round of reconciliation failed and will be repeated: {Why}")]
    partial void LogFailed(string why);
}
