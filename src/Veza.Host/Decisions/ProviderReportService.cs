namespace Veza.Host.Decisions;

/// <summary>Settles what one provider says of one thing, whoever asked, in a transaction of its own.</summary>
sealed class ProviderReportService(
    IStore store,
    Decider decider,
    SettlementService settler,
    TimeProvider clock
)
{
    public Task<EventResult> Settle(ProviderReport observation, CancellationToken cancellation) =>
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
