using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>A person at the console, with the key that they signed in with.</summary>
public sealed record ConsoleSession(Caller Caller, DateTimeOffset ExpiresAt);

/// <summary>
/// Who is signed in at the console, on whichever host. A session ends when the person signs out, when its key is revoked,
/// and <see cref="Life"/> after it began, whatever an open page asks for meanwhile.
/// </summary>
public sealed class ConsoleSessions(NpgsqlDataSource database, TimeProvider clock)
{
    public static readonly TimeSpan Life = TimeSpan.FromHours(12);

    /// <summary>A name for a session that nobody can guess.</summary>
    public static string NewToken() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32));

    /// <summary>Begins a session; one of the same name ends. Those that have expired are deleted.</summary>
    public async Task Begin(string token, Guid key, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            with expired as (delete from console_sessions where expires_at < $3 and hash <> $1)
            insert into console_sessions (hash, key_id, started_at, expires_at) values ($1, $2, $3, $4)
            on conflict (hash) do update set key_id = excluded.key_id, started_at = excluded.started_at,
                expires_at = excluded.expires_at
            """
        );
        var now = clock.GetUtcNow();
        command.Parameters.AddWithValue(Hash(token));
        command.Parameters.AddWithValue(key);
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + Life));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Null if it has ended.</summary>
    public async Task<ConsoleSession?> Find(string token, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            select k.id, k.name, k.role, s.expires_at from console_sessions s join api_keys k on k.id = s.key_id
            where s.hash = $1 and s.expires_at > $2 and k.revoked_at is null
            """
        );
        command.Parameters.AddWithValue(Hash(token));
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new(
                new(reader.GetGuid(0), reader.GetString(1), ApiKeys.RoleOf(reader.GetString(2))),
                reader.Time(3)
            )
            : null;
    }

    public async Task End(string token, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand("delete from console_sessions where hash = $1");
        command.Parameters.AddWithValue(Hash(token));
        await command.ExecuteNonQueryAsync(cancellation);
    }

    static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));
}
