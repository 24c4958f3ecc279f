using System.Collections.Concurrent;
using Veza.Adapters.Storage;

namespace Veza.Host.Workers;

/// <summary>
/// Renews the leases of what this host has in hand for as long as its calls run. When the host dies nobody renews them,
/// and another takes over within <c>WORKER_LEASE</c>.
/// </summary>
sealed partial class LeaseKeeper(
    Settings settings,
    IStore store,
    TimeProvider clock,
    ILogger<LeaseKeeper> log
) : BackgroundService
{
    readonly ConcurrentDictionary<Lease, byte> inHand = new();

    /// <summary>In hand until it is disposed of.</summary>
    public Held Hold(Leased what, object id, int version = 0)
    {
        var lease = new Lease(what, id.ToString()!, version);
        inHand[lease] = 0;
        return new(this, lease);
    }

    protected override async Task ExecuteAsync(CancellationToken stopping)
    {
        using var beat = new PeriodicTimer(settings.LeaseBeat, clock);
        try
        {
            while (await beat.WaitForNextTickAsync(stopping))
            {
                await Rounds.Once(() => Renew(stopping), error => LogFailed(error.Message), stopping);
            }
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // What is in the air lands before its lease runs out.
        }
    }

    async Task Renew(CancellationToken cancellation)
    {
        var leases = inHand.Keys;
        if (leases.Count > 0)
        {
            await store.HoldUntil([.. leases], clock.GetUtcNow() + settings.LeaseTerm, cancellation);
        }
    }

    Task HoldUntil(Lease lease, DateTimeOffset until) =>
        store.HoldUntil([lease], until, CancellationToken.None);

    /// <summary>One thing in hand.</summary>
    internal sealed class Held(LeaseKeeper keeper, Lease lease) : IDisposable
    {
        /// <summary>It was asked about and stands as it stood: it is due again then, not when its lease runs out.</summary>
        public Task PutOff(DateTimeOffset until)
        {
            Dispose();
            return keeper.HoldUntil(lease, until);
        }

        public void Dispose() => keeper.inHand.TryRemove(lease, out _);
    }

    [LoggerMessage(
        LogLevel.Warning,
        "What is in hand could not be kept ({Why}); if that lasts, another host takes it over."
    )]
    partial void LogFailed(string why);
}
