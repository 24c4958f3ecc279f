using Veza.Adapters.Storage;

namespace Veza.Host.Settling;

/// <summary>What to do when somebody else was faster, or nobody knows whether a commit happened.</summary>
sealed class Conflicts(IStore store, TimeProvider clock)
{
    const int Tries = 8;

    /// <summary>
    /// Loads and decides again after a conflict. Safe because every decision is made on what is stored, and a
    /// fact heard twice is heard once.
    /// </summary>
    public async Task<T> DecideAgain<T>(Func<Task<T>> decide)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await decide();
            }
            catch (Exception error) when (attempt < Tries && store.IsPassing(error))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5 * attempt), clock);
            }
        }
    }
}
