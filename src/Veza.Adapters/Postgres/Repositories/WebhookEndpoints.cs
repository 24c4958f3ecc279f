using System.Security.Cryptography;
using Npgsql;

namespace Veza.Adapters.Postgres.Repositories;

/// <summary>What an operator may change of an endpoint; null leaves it as it is.</summary>
public sealed record EndpointChange(
    string? Url = null,
    string? Description = null,
    IReadOnlyList<string>? EventTypes = null,
    bool? Enabled = null
);

/// <summary>Where the marketplace's own systems are told of changes.</summary>
public sealed class WebhookEndpoints(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>How long the secret before the last rotation is signed with as well.</summary>
    static readonly TimeSpan Overlap = TimeSpan.FromHours(24);

    const string Shape = """
        json_build_object('id', e.id, 'url', e.url, 'description', e.description, 'event_types', e.event_types,
            'enabled', e.enabled, 'disabled_reason', e.disabled_reason, 'failing_since', e.failing_since,
            'version', e.version, 'changed_by', e.changed_by, 'created_at', e.created_at, 'updated_at', e.updated_at)::text
        """;

    /// <summary>Answers the secret, which is shown this once.</summary>
    public async Task<string> Create(
        Guid id,
        string url,
        string? description,
        IReadOnlyList<string> eventTypes,
        string actor,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            insert into webhook_endpoints as e (id, url, description, event_types, secret, changed_by, created_at,
                updated_at)
            values ($1, $2, $3, $4, $5, $6, $7, $7)
            on conflict (id) do update set updated_at = e.updated_at
            returning secret
            """
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(url);
        command.Parameters.Add(Reading.Text(description));
        command.Parameters.Add(Reading.Texts(eventTypes));
        command.Parameters.AddWithValue(RandomNumberGenerator.GetBytes(32));
        command.Parameters.AddWithValue(actor);
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        return Shown((byte[])(await command.ExecuteScalarAsync(cancellation))!);
    }

    public async Task<string?> Find(Guid id, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"select {Shape} from webhook_endpoints e where id = $1"
        );
        command.Parameters.AddWithValue(id);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    public async Task<Page> List(Guid? after, int limit, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            select e.id, {Shape} from webhook_endpoints e where ($1::uuid is null or e.id < $1)
            order by e.id desc limit $2
            """
        );
        command.Parameters.Add(Reading.Uuid(after));
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var (items, hasMore, last) = await reader.Page<Guid>(limit, cancellation);
        return new Page(items, hasMore, last);
    }

    /// <summary>
    /// False if there is none, or it is not of that version any more. Enabled again, it starts with a clean slate.
    /// </summary>
    public async Task<bool> Change(
        Guid id,
        int? version,
        EndpointChange change,
        string actor,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            update webhook_endpoints
            set url = coalesce($3, url), description = coalesce($4, description),
                event_types = coalesce($5, event_types), enabled = coalesce($6, enabled),
                disabled_reason = case when $6 then null when not $6 then 'switched off' else disabled_reason end,
                failing_since = case when $6 then null else failing_since end,
                changed_by = $8, version = version + 1, updated_at = $7
            where id = $1 and ($2::integer is null or version = $2)
            """
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.Add(Reading.Integer(version));
        command.Parameters.Add(Reading.Text(change.Url));
        command.Parameters.Add(Reading.Text(change.Description));
        command.Parameters.Add(Reading.TextsOrNull(change.EventTypes));
        command.Parameters.Add(Reading.Flag(change.Enabled));
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        command.Parameters.AddWithValue(actor);
        return await command.ExecuteNonQueryAsync(cancellation) > 0;
    }

    /// <summary>The new secret, shown this once; null if there is no such endpoint.</summary>
    public async Task<string?> Rotate(Guid id, string actor, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        await using var command = database.CreateCommand(
            """
            update webhook_endpoints
            set previous_secret = secret, previous_until = $3, secret = $2, changed_by = $5,
                version = version + 1, updated_at = $4
            where id = $1 returning secret
            """
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(RandomNumberGenerator.GetBytes(32));
        command.Parameters.Add(Reading.At(now + Overlap));
        command.Parameters.Add(Reading.At(now));
        command.Parameters.AddWithValue(actor);
        return await command.ExecuteScalarAsync(cancellation) is byte[] secret ? Shown(secret) : null;
    }

    /// <summary>With all its deliveries. False if there is none, or it is not of that version any more.</summary>
    public async Task<bool> Delete(Guid id, int? version, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "delete from webhook_endpoints where id = $1 and ($2::integer is null or version = $2)"
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.Add(Reading.Integer(version));
        return await command.ExecuteNonQueryAsync(cancellation) > 0;
    }

    /// <summary>As Standard Webhooks writes it.</summary>
    static string Shown(byte[] secret) => "whsec_" + Convert.ToBase64String(secret);
}
