using Npgsql;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>Which recorded webhooks are meant; null is any.</summary>
public sealed record WebhookFilter(
    long? Id = null,
    string? Provider = null,
    string? State = null,
    string? Type = null,
    string? Reason = null
);

/// <summary>The webhooks as they came, for those who look after them.</summary>
public sealed class ProviderEventLog(NpgsqlDataSource database, TimeProvider clock)
{
    const string Columns = """
        'id', seq, 'provider', provider, 'event_id', event_id, 'type', type, 'object_id', object_id, 'state', state,
        'reason', reason, 'source', source, 'received_at', received_at, 'processed_at', processed_at,
        'replays', replays, 'replayed_by', replayed_by,
        'dismissed_by', dismissed_by, 'dismissed_note', dismissed_note, 'dismissed_at', dismissed_at
        """;

    const string Matches = """
        ($1::bigint is null or seq = $1) and ($2::text is null or provider = $2)
            and ($3::text is null or state = $3) and ($4::text is null or type = $4)
            and ($5::text is null or reason = $5)
        """;

    /// <summary>Newest first; <paramref name="before"/> is the last number already seen.</summary>
    public async Task<(IReadOnlyList<string> Items, bool HasMore, long? Last)> List(
        WebhookFilter filter,
        long? before,
        int limit,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select seq, json_build_object({Columns})::text from webhook_events
            where {Matches} and ($6::bigint is null or seq < $6) order by seq desc limit $7
            """
        );
        Add(command, filter);
        command.Parameters.Add(Reading.Bigint(before));
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.Page<long>(limit, cancellation);
    }

    /// <summary>What contradicts what Veza knows, could not be read, or waits for its object; newest first.</summary>
    public async Task<IReadOnlyList<string>> ToLookAt(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            select json_build_object({Columns})::text from webhook_events
            where state in ('parked', 'quarantined', 'poisoned') order by seq desc limit 100
            """
        );
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => row.GetString(0), cancellation);
    }

    /// <summary>With its body, as it was received. Null if there is none.</summary>
    public async Task<string?> Find(long id, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            select json_build_object({Columns}, 'body', body,
                'body_base64', translate(encode(body_bytes, 'base64'), E'\n', ''))::text
            from webhook_events where seq = $1
            """
        );
        command.Parameters.AddWithValue(id);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    public async Task<long> Count(WebhookFilter filter, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"select count(*) from webhook_events where {Matches} and {Replayable}"
        );
        Add(command, filter);
        return (long)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>
    /// What had no effect waits to be processed again, as if it had just come. What had one is left alone: hearing it
    /// again would change nothing. What a person has closed is replayed only where it is asked for by name.
    /// </summary>
    public async Task<int> Replay(WebhookFilter filter, string actor, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            update webhook_events set state = 'received', reason = null, replays = replays + 1, replayed_by = $6
            where {Matches} and {Replayable}
            """
        );
        Add(command, filter);
        command.Parameters.AddWithValue(actor);
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    const string Replayable = """
        (state in ('parked', 'quarantined', 'poisoned', 'ignored')
            or (state = 'dismissed' and ($1::bigint is not null or $3::text is not null)))
        """;

    /// <summary>
    /// A person has settled what it tells of: it waits for nobody any more, and is kept. False if it does not wait for a
    /// person, or there is none.
    /// </summary>
    public async Task<bool> Dismiss(long id, string actor, string note, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            update webhook_events set state = 'dismissed', dismissed_by = $2, dismissed_note = $3, dismissed_at = $4
            where seq = $1 and state in ('parked', 'quarantined', 'poisoned')
            """
        );
        command.Parameters.AddWithValue(id);
        command.Parameters.AddWithValue(actor);
        command.Parameters.AddWithValue(note);
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        return await command.ExecuteNonQueryAsync(cancellation) > 0;
    }

    static void Add(NpgsqlCommand command, WebhookFilter filter)
    {
        command.Parameters.Add(Reading.Bigint(filter.Id));
        foreach (var text in new[] { filter.Provider, filter.State, filter.Type, filter.Reason })
        {
            command.Parameters.Add(Reading.Text(text));
        }
    }
}
