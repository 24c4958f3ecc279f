using System.Security.Cryptography;
using System.Text;
using Npgsql;

namespace Veza.Adapters.Postgres;

/// <summary>Roles nest: whoever may operate may also serve and read.</summary>
public enum Role
{
    Read,
    Service,
    Operator,
}

/// <summary>Who is calling.</summary>
public sealed record Caller(Guid KeyId, string Name, Role Role)
{
    /// <summary>As the history names them.</summary>
    public string Actor => $"key:{Name}";
}

/// <summary>A key as the list shows it; the key itself is known to nobody but its holder.</summary>
public sealed record ApiKey(
    Guid Id,
    string Name,
    Role Role,
    DateTimeOffset CreatedAt,
    DateTimeOffset? RevokedAt,
    DateTimeOffset? LastUsedAt
);

/// <summary>The keys of Veza's own API: 256 random bits each, of which only a hash is kept.</summary>
public sealed class ApiKeys(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>Answers the new key. It cannot be shown again.</summary>
    public async Task<(Guid Id, string Key)> Create(string name, Role role, CancellationToken cancellation)
    {
        var word = Word(role);
        var key = $"veza_{word}_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32))}";
        var now = clock.GetUtcNow();
        var id = Guid.CreateVersion7(now);
        await using var command = database.CreateCommand(
            "insert into api_keys (id, name, role, hash, created_at) values ($1, $2, $3, $4, $5)"
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(name);
        command.Parameters.AddWithValue(word);
        command.Parameters.AddWithValue(Hash(key));
        command.Parameters.Add(Reading.At(now));
        await command.ExecuteNonQueryAsync(cancellation);
        return (id, key);
    }

    /// <summary>
    /// Null for a key that is unknown or revoked. Asked of the database each time, so a revocation holds at once;
    /// found by hash, so no comparison leaks where a guess went wrong.
    /// </summary>
    public async Task<Caller?> Find(string key, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            with used as (
                update api_keys set last_used_at = $2
                where hash = $1 and revoked_at is null
                    and (last_used_at is null or last_used_at < $2 - interval '1 minute'))
            select id, name, role from api_keys where hash = $1 and revoked_at is null
            """
        );
        command.Parameters.AddWithValue(Hash(key));
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.ReadAsync(cancellation)
            ? new Caller(reader.GetGuid(0), reader.GetString(1), RoleOf(reader.GetString(2)))
            : null;
    }

    /// <summary>Whether a key that was presented earlier still holds.</summary>
    public async Task<bool> IsActive(Guid id, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "select 1 from api_keys where id = $1 and revoked_at is null"
        );
        command.Parameters.AddWithValue(id);
        return await command.ExecuteScalarAsync(cancellation) is not null;
    }

    public async Task<IReadOnlyList<ApiKey>> List(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "select id, name, role, created_at, revoked_at, last_used_at from api_keys order by id"
        );
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new ApiKey(
                row.GetGuid(0),
                row.GetString(1),
                RoleOf(row.GetString(2)),
                row.Time(3),
                row.TimeOrNull(4),
                row.TimeOrNull(5)
            ),
            cancellation
        );
    }

    /// <summary>False if there is no such key.</summary>
    public async Task<bool> Revoke(Guid id, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "update api_keys set revoked_at = coalesce(revoked_at, $2) where id = $1"
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        return await command.ExecuteNonQueryAsync(cancellation) == 1;
    }

    public static string Word(Role role) =>
        role switch
        {
            Role.Read => "read",
            Role.Service => "service",
            Role.Operator => "operator",
            _ => throw new ArgumentOutOfRangeException(nameof(role), role, null),
        };

    static Role RoleOf(string word) => Enum.Parse<Role>(word, ignoreCase: true);

    static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
