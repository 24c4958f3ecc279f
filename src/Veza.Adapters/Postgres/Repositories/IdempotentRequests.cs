using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>An answer that was given before.</summary>
public sealed record StoredAnswer(int Status, string ContentType, string Body);

/// <summary>What a POST with an Idempotency-Key finds.</summary>
public abstract record Turn
{
    /// <summary>Go ahead; what you create has this id.</summary>
    public sealed record Yours(Guid ResourceId) : Turn;

    public sealed record Replay(StoredAnswer Answer) : Turn;

    /// <summary>The key belongs to another request.</summary>
    public sealed record Reused : Turn;

    /// <summary>The first request under this key is still running.</summary>
    public sealed record InUse : Turn;
}

/// <summary>Remembers POSTs and their answers by (API key, Idempotency-Key).</summary>
public sealed class IdempotentRequests(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>Renewed while a request runs. One that is not renewed any more has crashed; its repeat takes over.</summary>
    static readonly TimeSpan Lease = TimeSpan.FromSeconds(15);

    /// <summary>How often a running request is to be renewed.</summary>
    public static TimeSpan Beat { get; } = Lease / 3;

    public async Task<Turn> Begin(Guid apiKey, string key, byte[] fingerprint, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        await using var command = database.CreateCommand(
            """
            insert into idempotent_requests as r (api_key_id, key, fingerprint, resource_id, locked_until, created_at)
            values ($1, $2, $3, $4, $6, $5)
            on conflict (api_key_id, key) do update set locked_until = excluded.locked_until
                where r.fingerprint = excluded.fingerprint and r.status is null
                    and coalesce(r.locked_until, '-infinity') < $5
            returning resource_id
            """
        );
        command.Parameters.AddWithValue(apiKey);
        command.Parameters.AddWithValue(key);
        command.Parameters.AddWithValue(fingerprint);
        command.Parameters.AddWithValue(Guid.CreateVersion7(now));
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + Lease));
        return await command.ExecuteScalarAsync(cancellation) is Guid resource
            ? new Turn.Yours(resource)
            : await Standing(apiKey, key, fingerprint, cancellation);
    }

    /// <summary>Says that the request still runs.</summary>
    public async Task Renew(Guid apiKey, string key)
    {
        await using var command = database.CreateCommand(
            """
            update idempotent_requests set locked_until = $3
            where api_key_id = $1 and key = $2 and status is null and locked_until is not null
            """
        );
        command.Parameters.AddWithValue(apiKey);
        command.Parameters.AddWithValue(key);
        command.Parameters.Add(Reading.At(clock.GetUtcNow() + Lease));
        await command.ExecuteNonQueryAsync(CancellationToken.None);
    }

    /// <summary>Keeps the answer for repeats; null gives the key back, so that a repeat runs anew.</summary>
    public async Task End(Guid apiKey, string key, StoredAnswer? answer)
    {
        await using var command = database.CreateCommand(
            """
            update idempotent_requests set locked_until = null, status = $3, content_type = $4, body = $5
            where api_key_id = $1 and key = $2
            """
        );
        command.Parameters.AddWithValue(apiKey);
        command.Parameters.AddWithValue(key);
        command.Parameters.Add(new() { Value = (object?)answer?.Status ?? DBNull.Value });
        command.Parameters.Add(new() { Value = (object?)answer?.ContentType ?? DBNull.Value });
        command.Parameters.Add(new() { Value = (object?)answer?.Body ?? DBNull.Value });
        await command.ExecuteNonQueryAsync(CancellationToken.None);
    }

    async Task<Turn> Standing(Guid apiKey, string key, byte[] fingerprint, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            select fingerprint, status, content_type, body from idempotent_requests
            where api_key_id = $1 and key = $2
            """
        );
        command.Parameters.AddWithValue(apiKey);
        command.Parameters.AddWithValue(key);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        if (!await reader.ReadAsync(cancellation))
        {
            return new Turn.InUse();
        }

        if (!reader.GetFieldValue<byte[]>(0).AsSpan().SequenceEqual(fingerprint))
        {
            return new Turn.Reused();
        }

        return reader.IsDBNull(1)
            ? new Turn.InUse()
            : new Turn.Replay(new StoredAnswer(reader.GetInt32(1), reader.GetString(2), reader.GetString(3)));
    }
}
