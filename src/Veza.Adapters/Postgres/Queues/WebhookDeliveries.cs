using Npgsql;

namespace Veza.Adapters.Postgres.Queues;

/// <summary>One message on its way to one endpoint.</summary>
/// <param name="Attempts">Made before this one.</param>
/// <param name="Secrets">The newest first; more than one while a rotation is under way.</param>
public sealed record DueDelivery(
    Guid Endpoint,
    string Url,
    IReadOnlyList<byte[]> Secrets,
    long Sequence,
    string Body,
    int Attempts
)
{
    /// <summary>The same for every attempt: receivers tell repeats by it.</summary>
    public string MessageId => $"evt_{Sequence}";
}

/// <summary>What came of an attempt. <c>Status</c> is null where there was no answer at all.</summary>
public sealed record DeliveryResult(DueDelivery Delivery, int? Status, string? Error, TimeSpan Took)
{
    public bool Arrived => Status is >= 200 and < 300;
}

/// <summary>Messages to endpoints: what is due, what came of it, and the log of all attempts.</summary>
public sealed class WebhookDeliveries(NpgsqlDataSource database, TimeProvider clock)
{
    /// <summary>Waits after each attempt, as Standard Webhooks advises: ten tries over three days.</summary>
    public static IReadOnlyList<TimeSpan> Ladder { get; } =
    [
        TimeSpan.FromSeconds(5),
        TimeSpan.FromMinutes(5),
        TimeSpan.FromMinutes(30),
        TimeSpan.FromHours(2),
        TimeSpan.FromHours(5),
        TimeSpan.FromHours(10),
        TimeSpan.FromHours(14),
        TimeSpan.FromHours(20),
        TimeSpan.FromHours(24),
    ];

    /// <summary>An endpoint that has not taken anything for so long is switched off.</summary>
    static readonly TimeSpan Patience = TimeSpan.FromDays(5);

    /// <summary>As many as are released at once, so that nobody has to wait for them.</summary>
    const int MostReleased = 1_000;

    /// <summary>
    /// What was held while its endpoint was switched off is due, the oldest first, with a fresh ladder; what is pending for
    /// one that has been switched off since is held. True if there may be more.
    /// </summary>
    public async Task<bool> Follow(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            with turned as (
                select d.endpoint_id, d.seq, true as goes from webhook_endpoints e
                cross join lateral (
                    select h.endpoint_id, h.seq from webhook_deliveries h where h.endpoint_id = e.id and h.state = 'held'
                    order by h.seq limit $2 for update skip locked) d
                where e.enabled
                union all
                select d.endpoint_id, d.seq, false from webhook_endpoints e
                cross join lateral (
                    select h.endpoint_id, h.seq from webhook_deliveries h
                    where h.endpoint_id = e.id and h.state = 'pending'
                    order by h.seq limit $2 for update skip locked) d
                where not e.enabled)
            update webhook_deliveries d
            set state = case when t.goes then 'pending' else 'held' end, attempts = 0,
                due_at = case when t.goes then $1::timestamptz end
            from turned t where d.endpoint_id = t.endpoint_id and d.seq = t.seq
            """
        );
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        command.Parameters.AddWithValue(MostReleased);
        return await command.ExecuteNonQueryAsync(cancellation) >= MostReleased;
    }

    /// <summary>Due ones, oldest first, each for one worker at a time for the length of the lease.</summary>
    public async Task<IReadOnlyList<DueDelivery>> Claim(
        int most,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        var now = clock.GetUtcNow();
        await using var command = database.CreateCommand(
            """
            with due as (
                select d.endpoint_id, d.seq from webhook_deliveries d
                join webhook_endpoints e on e.id = d.endpoint_id and e.enabled
                where d.state = 'pending' and d.due_at <= $1
                order by d.due_at, d.seq limit $2 for update of d skip locked)
            update webhook_deliveries d set due_at = $3
            from due, webhook_endpoints e, webhook_messages m
            where d.endpoint_id = due.endpoint_id and d.seq = due.seq and e.id = d.endpoint_id and m.seq = d.seq
            returning d.endpoint_id, e.url, e.secret, case when e.previous_until > $1 then e.previous_secret end, d.seq,
                m.body, d.attempts
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.AddWithValue(most);
        command.Parameters.Add(Reading.At(now + lease));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var claimed = await reader.All(
            row => new DueDelivery(
                row.GetGuid(0),
                row.GetString(1),
                row.IsDBNull(3)
                    ? [row.GetFieldValue<byte[]>(2)]
                    : [row.GetFieldValue<byte[]>(2), row.GetFieldValue<byte[]>(3)],
                row.GetInt64(4),
                JsonStyle.Compact(row.GetString(5)),
                row.GetInt32(6)
            ),
            cancellation
        );
        return [.. claimed.OrderBy(delivery => delivery.Sequence)];
    }

    /// <summary>
    /// Delivered, due again by the ladder, or given up. Answers true if the endpoint is switched off by this: it says that
    /// it is gone, or has taken nothing for days.
    /// </summary>
    public async Task<bool> Record(DeliveryResult result, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var (delivery, attempts) = (result.Delivery, result.Delivery.Attempts + 1);
        DateTimeOffset? next =
            result.Arrived || attempts > Ladder.Count ? null : now + Spread(delivery, attempts);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection, transaction);
        batch.BatchCommands.Add(
            new(
                """
                insert into webhook_attempts (endpoint_id, seq, attempt, at, took_ms, http_status, error)
                select $1, $2, 1 + (select count(*) from webhook_attempts where endpoint_id = $1 and seq = $2),
                    $3, $4, $5, $6
                where exists (select from webhook_deliveries where endpoint_id = $1 and seq = $2)
                """
            )
            {
                Parameters =
                {
                    new() { Value = delivery.Endpoint },
                    new() { Value = delivery.Sequence },
                    Reading.At(now),
                    new() { Value = (int)result.Took.TotalMilliseconds },
                    Reading.Integer(result.Status),
                    Reading.Text(result.Error),
                },
            }
        );
        batch.BatchCommands.Add(
            new(
                """
                update webhook_deliveries
                set attempts = $3, due_at = $4, delivered_at = case when $5 then $6 end,
                    state = case when $5 then 'delivered' when $4::timestamptz is null then 'failed' else 'pending' end
                where endpoint_id = $1 and seq = $2 and attempts = $3 - 1
                """
            )
            {
                Parameters =
                {
                    new() { Value = delivery.Endpoint },
                    new() { Value = delivery.Sequence },
                    new() { Value = attempts },
                    Reading.At(next),
                    new() { Value = result.Arrived },
                    Reading.At(now),
                },
            }
        );
        var off = new NpgsqlBatchCommand(
            """
            update webhook_endpoints
            set failing_since = case when $2 then null else coalesce(failing_since, $3) end,
                enabled = enabled and ($2 or not ($4 or coalesce(failing_since, $3) < $5)),
                disabled_reason = case when not $2 and $4 then 'it answers that it is gone (410)'
                    when not $2 and coalesce(failing_since, $3) < $5 then 'nothing has been taken for 5 days'
                    else disabled_reason end
            where id = $1 and (not $2 or failing_since is not null)
            returning enabled
            """
        )
        {
            Parameters =
            {
                new() { Value = delivery.Endpoint },
                new() { Value = result.Arrived },
                Reading.At(now),
                new() { Value = result.Status == 410 },
                Reading.At(now - Patience),
            },
        };
        batch.BatchCommands.Add(off);
        var switchedOff = false;
        await using (var reader = await batch.ExecuteReaderAsync(cancellation))
        {
            do
            {
                while (await reader.ReadAsync(cancellation))
                {
                    switchedOff = !reader.GetBoolean(0);
                }
            } while (await reader.NextResultAsync(cancellation));
        }

        await transaction.CommitAsync(cancellation);
        return switchedOff;
    }

    /// <summary>The log, newest first, with every attempt.</summary>
    public async Task<(IReadOnlyList<string> Items, bool HasMore, long? Last)> List(
        Guid endpoint,
        string? state,
        long? before,
        int limit,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            select d.seq, json_build_object('id', 'evt_' || d.seq, 'sequence', d.seq, 'type', m.type,
                'entity_id', m.entity_id, 'state', d.state, 'attempts', d.attempts, 'next_attempt_at', d.due_at,
                'delivered_at', d.delivered_at, 'created_at', m.created_at,
                'log', (select coalesce(json_agg(json_build_object('attempt', a.attempt, 'at', a.at,
                    'took_ms', a.took_ms, 'http_status', a.http_status, 'error', a.error) order by a.attempt), '[]')
                    from webhook_attempts a where a.endpoint_id = d.endpoint_id and a.seq = d.seq))::text
            from webhook_deliveries d join webhook_messages m on m.seq = d.seq
            where d.endpoint_id = $1 and ($2::text is null or d.state = $2) and ($3::bigint is null or d.seq < $3)
            order by d.seq desc limit $4
            """
        );
        command.Parameters.AddWithValue(endpoint);
        command.Parameters.Add(Reading.Text(state));
        command.Parameters.Add(Reading.Bigint(before));
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.Page<long>(limit, cancellation);
    }

    /// <summary>
    /// Due at once and with a fresh ladder: one message, or all since a sequence number that have the state. The attempts
    /// made so far stay in the log.
    /// </summary>
    public async Task<int> Replay(
        Guid endpoint,
        long? sequence,
        long since,
        string? state,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            with again as (
                update webhook_deliveries set state = 'pending', due_at = $5, attempts = 0, delivered_at = null
                where endpoint_id = $1 and ($2::bigint is null or seq = $2) and seq >= $3
                    and ($4::text is null or state = $4)
                returning endpoint_id, seq)
            select count(*)::integer from again
            """
        );
        command.Parameters.AddWithValue(endpoint);
        command.Parameters.Add(Reading.Bigint(sequence));
        command.Parameters.AddWithValue(since);
        command.Parameters.Add(Reading.Text(state));
        command.Parameters.Add(Reading.At(clock.GetUtcNow()));
        return (int)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>Up to a tenth longer, so that what failed together does not come back together.</summary>
    static TimeSpan Spread(DueDelivery delivery, int attempts)
    {
        var wait = Ladder[attempts - 1];
        return wait + wait * ((delivery.Sequence * 31 + attempts * 17) % 100 / 1000.0);
    }
}
