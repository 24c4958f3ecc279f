using System.Collections.Concurrent;

namespace Veza.Host.Background;

/// <summary>
/// Renews the leases that this host holds for as long as its calls run. When the host dies its leases expire, and another
/// host takes over within <c>WORKER_LEASE</c>.
/// </summary>
sealed class LeaseKeeper(Settings settings, IStore store, TimeProvider clock, ILogger<LeaseKeeper> logger)
    : PollingWorker(settings.LeaseBeat, clock, logger)
{
    readonly ConcurrentDictionary<Lease, byte> held = new();

    /// <summary>Renewed until it is disposed of.</summary>
    public Held Hold(Leased what, object id, int version = 0)
    {
        var lease = new Lease(what, id.ToString()!, version);
        held[lease] = 0;
        return new(this, lease);
    }

    protected override bool WaitsFirst => true;

    protected override async Task<bool> RunOnce(CancellationToken cancellation)
    {
        var leases = held.Keys;
        if (leases.Count > 0)
        {
            await store.HoldUntil([.. leases], Clock.GetUtcNow() + settings.LeaseTerm, cancellation);
        }

        return false;
    }

    Task HoldUntil(Lease lease, DateTimeOffset until, CancellationToken cancellation) =>
        store.HoldUntil([lease], until, cancellation);

    /// <summary>One lease that is being renewed.</summary>
    internal sealed class Held(LeaseKeeper keeper, Lease lease) : IDisposable
    {
        /// <summary>The provider was polled and nothing has changed: it is due again then, not when its lease expires.</summary>
        public Task PutOff(DateTimeOffset until, CancellationToken cancellation)
        {
            Dispose();
            return keeper.HoldUntil(lease, until, cancellation);
        }

        public void Dispose() => keeper.held.TryRemove(lease, out _);
    }
}
