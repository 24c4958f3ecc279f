using Npgsql;
using Veza.Adapters.Postgres;

namespace Veza.Host.Settling;

/// <summary>What to do when somebody else was faster, or nobody knows whether a commit happened.</summary>
static class Conflicts
{
    const int Tries = 8;

    /// <summary>A lost race, a deadlock that PostgreSQL broke, or a connection lost in the middle.</summary>
    public static bool IsPassing(Exception error) =>
        error is ConcurrentChangeException or NpgsqlException { IsTransient: true }
        || error
            is PostgresException
            {
                SqlState: PostgresErrorCodes.DeadlockDetected or PostgresErrorCodes.SerializationFailure
            };

    /// <summary>
    /// Loads and decides again after a conflict. Safe because every decision is made on what is stored, and a
    /// fact heard twice is heard once.
    /// </summary>
    public static async Task<T> DecideAgain<T>(Func<Task<T>> decide)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await decide();
            }
            catch (Exception error) when (attempt < Tries && IsPassing(error))
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5 * attempt));
            }
        }
    }
}
