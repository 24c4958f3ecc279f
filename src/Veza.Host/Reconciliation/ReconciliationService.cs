using System.Text.Json;

namespace Veza.Host.Reconciliation;

/// <summary>Runs a reconciliation and keeps what it found.</summary>
sealed class ReconciliationService(Reconciler reconciler, ReconciliationRuns runs)
{
    static readonly JsonSerializerOptions Snake = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
    };

    /// <param name="trigger"><c>schedule</c>, <c>api</c> or <c>command</c>.</param>
    public async Task<Guid> Begin(Guid id, Scope scope, string trigger, CancellationToken cancellation)
    {
        await runs.Prune(cancellation);
        await runs.Begin(id, trigger, scope.Actor, scope.Heal, scope.Since, scope.CutOff, cancellation);
        return id;
    }

    /// <summary>Null if it could not compare; the run says why.</summary>
    public async Task<(Report? Report, string? Error)> Finish(
        Guid id,
        Scope scope,
        Action<string> progress,
        CancellationToken cancellation
    )
    {
        try
        {
            var report = await WithoutAcknowledged(
                await reconciler.Run(scope, progress, cancellation),
                cancellation
            );
            await runs.End(
                id,
                report.Agrees ? "agree" : "differ",
                JsonSerializer.Serialize(report.Compared, Snake),
                null,
                report.Findings,
                cancellation
            );
            return (report, null);
        }
        catch (CouldNotCompareException error)
        {
            await runs.End(id, "failed", "{}", error.Message, [], cancellation);
            return (null, error.Message);
        }
    }

    /// <summary>What a person has settled otherwise is still told, and counts no more.</summary>
    async Task<Report> WithoutAcknowledged(Report report, CancellationToken cancellation)
    {
        var known = await runs.Acknowledged(report.Findings, cancellation);
        return report with
        {
            Findings =
            [
                .. report.Findings.Select(
                    (finding, place) => finding with { AcknowledgedBy = known.GetValueOrDefault(place) }
                ),
            ],
        };
    }
}
