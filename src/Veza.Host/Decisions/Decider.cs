using Veza.Domain;

namespace Veza.Host.Decisions;

/// <summary>
/// Loads, lets the domain decide, commits, and starts again when another writer was faster or nobody knows whether a commit
/// happened: the one way in which anything changes.
/// </summary>
sealed class Decider(IStore store, TimeProvider clock)
{
    const int Tries = 8;

    /// <summary>What one aggregate becomes by a signal, and what to answer to that.</summary>
    /// <param name="load">Null if there is no such aggregate; then the answer is <paramref name="missing"/>.</param>
    public Task<TAnswer> Transact<T, TWhy, TAnswer>(
        Func<UnitOfWork, Task<T?>> load,
        Func<T, DateTimeOffset, Outcome<Decision<T>, TWhy>> decide,
        Func<T, Cause> cause,
        Func<TAnswer> missing,
        Func<T, Outcome<Decision<T>, TWhy>, TAnswer> render,
        CancellationToken cancellation
    )
        where T : class =>
        Transact(
            async work =>
            {
                if (await load(work) is not { } found)
                {
                    return missing();
                }

                var outcome = decide(found, work.Now);
                work.Add(outcome, cause(found));
                return render(found, outcome);
            },
            cancellation
        );

    /// <summary>
    /// Several aggregates at once, or more than one step. Safe to start again because every decision is made on what is
    /// stored, and a fact heard twice is heard once.
    /// </summary>
    public Task<TAnswer> Transact<TAnswer>(
        Func<UnitOfWork, Task<TAnswer>> decide,
        CancellationToken cancellation
    ) =>
        Retry(
            async () =>
            {
                await using var session = await store.Begin(cancellation);
                var work = new UnitOfWork(session, clock.GetUtcNow(), cancellation);
                var answer = await decide(work);
                await work.Commit();
                return answer;
            },
            cancellation
        );

    public async Task<TAnswer> Retry<TAnswer>(Func<Task<TAnswer>> attempt, CancellationToken cancellation)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                return await attempt();
            }
            catch (Exception error) when (tries < Tries && store.IsPassing(error))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5 * tries), clock, cancellation);
            }
        }
    }
}
