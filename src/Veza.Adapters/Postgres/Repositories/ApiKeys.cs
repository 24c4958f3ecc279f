using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

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
    /// <param name="actor">Who makes it, such as <c>cli:ann</c>.</param>
    public async Task<(Guid Id, string Key)> Create(
        string name,
        Role role,
        string actor,
        CancellationToken cancellation
    )
    {
        var word = Word(role);
        var key = $"veza_{word}_{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(32))}";
        var now = clock.GetUtcNow();
        var id = Guid.CreateVersion7(now);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(
            new("insert into api_keys (id, name, role, hash, created_at) values ($1, $2, $3, $4, $5)")
            {
                Parameters =
                {
                    new() { Value = id },
                    new() { Value = name },
                    new() { Value = word },
                    new() { Value = Hash(key) },
                    Reading.At(now),
                },
            }
        );
        var made = JsonSerializer.Serialize(new { name, role = word });
        AuditLog.Add(batch, OfKey(actor, "api_key.create", id), new("done", New: made), now);
        await batch.ExecuteNonQueryAsync(cancellation);
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
    public async Task<bool> Revoke(Guid id, string actor, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using var command = new NpgsqlCommand(
            """
            update api_keys set revoked_at = coalesce(revoked_at, $2) where id = $1
            returning json_build_object('name', name, 'role', role, 'revoked_at', revoked_at)::text
            """,
            connection,
            transaction
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.Add(Reading.At(now));
        if (await command.ExecuteScalarAsync(cancellation) is not string revoked)
        {
            return false;
        }

        await using var batch = new NpgsqlBatch(connection, transaction);
        AuditLog.Add(batch, OfKey(actor, "api_key.revoke", id), new("done", New: revoked), now);
        await batch.ExecuteNonQueryAsync(cancellation);
        await transaction.CommitAsync(cancellation);
        return true;
    }

    /// <summary>Keys are made and revoked by commands alone.</summary>
    static AuditEntry OfKey(string actor, string action, Guid id) =>
        new(actor, "cli", "cli", action, "api_key", id.ToString());

    public static string Word(Role role) =>
        role switch
        {
            Role.Read => "read",
            Role.Service => "service",
            Role.Operator => "operator",
            _ => throw new ArgumentOutOfRangeException(nameof(role), role, null),
        };

    internal static Role RoleOf(string word) => Enum.Parse<Role>(word, ignoreCase: true);

    static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
