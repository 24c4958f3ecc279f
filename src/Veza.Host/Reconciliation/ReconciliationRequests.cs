using System.Collections.Concurrent;

namespace Veza.Host.Reconciliation;

/// <summary>Runs the reconciliations that the API and the console ask for, one after the other.</summary>
sealed class ReconciliationRequests : PollingWorker
{
    readonly ConcurrentQueue<(Guid Id, Scope Scope)> requests = new();
    readonly ReconciliationService service;
    readonly WorkSignal signal;

    public ReconciliationRequests(
        ReconciliationService service,
        TimeProvider clock,
        ILogger<ReconciliationRequests> logger
    )
        : this(service, new WorkSignal(), clock, logger) { }

    ReconciliationRequests(
        ReconciliationService service,
        WorkSignal signal,
        TimeProvider clock,
        ILogger logger
    )
        : base(TimeSpan.FromSeconds(5), clock, logger, signal) =>
        (this.service, this.signal) = (service, signal);

    /// <summary>Runs it soon; its row tells its progress.</summary>
    public void Add(Guid id, Scope scope)
    {
        requests.Enqueue((id, scope));
        signal.Tap();
    }

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        if (!requests.TryDequeue(out var next))
        {
            return false;
        }

        await service.Finish(next.Id, next.Scope, _ => { }, cancellation);
        return true;
    }
}
