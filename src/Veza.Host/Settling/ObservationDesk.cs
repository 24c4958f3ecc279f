using Veza.Adapters.Storage;

namespace Veza.Host.Settling;

/// <summary>Settles what one provider says of one thing, whoever asked, in a transaction of its own.</summary>
sealed class ObservationDesk(IStore store, Decider decider, Settler settler, TimeProvider clock)
{
    public Task<Conclusion> Settle(Observation observation, CancellationToken cancellation) =>
        decider.Retry(
            async () =>
            {
                await using var session = await store.Begin(cancellation);
                var now = clock.GetUtcNow();
                var conclusions = await settler.Settle(session, [observation], now, cancellation);
                await session.Commit(cancellation);
                return conclusions[0];
            },
            cancellation
        );
}
