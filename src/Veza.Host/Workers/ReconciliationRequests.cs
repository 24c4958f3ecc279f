using System.Collections.Concurrent;
using Veza.Host.Reconciling;

namespace Veza.Host.Workers;

/// <summary>Runs the reconciliations that the API and the console ask for, one after the other.</summary>
sealed class ReconciliationRequests : PollingWorker
{
    readonly ConcurrentQueue<(Guid Id, Scope Scope)> requests = new();
    readonly ReconciliationDesk desk;
    readonly Wake signal;

    public ReconciliationRequests(
        ReconciliationDesk desk,
        TimeProvider clock,
        ILogger<ReconciliationRequests> logger
    )
        : this(desk, new Wake(), clock, logger) { }

    ReconciliationRequests(ReconciliationDesk desk, Wake signal, TimeProvider clock, ILogger logger)
        : base(TimeSpan.FromSeconds(5), clock, logger, signal) => (this.desk, this.signal) = (desk, signal);

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

        await desk.Finish(next.Id, next.Scope, _ => { }, cancellation);
        return true;
    }
}
