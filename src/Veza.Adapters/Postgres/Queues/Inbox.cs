using Npgsql;

namespace Veza.Adapters.Postgres.Queues;

/// <summary>Webhooks on disk: recorded once each, processed in the order they came.</summary>
sealed class Inbox(NpgsqlDataSource database)
{
    /// <summary>Records the events that are new; how many were. When this returns they are on disk.</summary>
    public async Task<int> Record(
        IReadOnlyList<ReceivedEvent> events,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var batch = new NpgsqlBatch(connection);
        var command = new NpgsqlBatchCommand(
            """
            insert into webhook_events (provider, event_id, type, object_id, body, source, correlation, body_bytes,
                received_at)
            select c.*, $9 from unnest($1, $2, $3, $4, $5, $6, $7, $8) as c
            on conflict (provider, event_id) do nothing
            """
        );
        new Columns<ReceivedEvent>(command, events)
            .Text(received => received.Provider)
            .Text(received => received.EventId)
            .Text(received => received.Type)
            .Text(received => received.ObjectId)
            .Text(received => received.Body)
            .Text(received => received.FromList ? "list" : "webhook")
            .Text(received => received.Correlation)
            .Bytes(received => received.Bytes);
        command.Parameters.Add(Reading.At(now));
        batch.BatchCommands.Add(command);
        return await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>Events about which a provider has to be asked, taken for the length of a lease.</summary>
    public async Task<List<WaitingEvent>> Claim(
        int most,
        DateTimeOffset now,
        TimeSpan lease,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            update webhook_events e set due_at = $2
            from (
                select provider, event_id from webhook_events where state = 'asking' and due_at <= $1
                order by due_at limit $3 for update skip locked) c
            where e.provider = c.provider and e.event_id = c.event_id
            returning e.seq, e.provider, e.event_id, e.type, e.body, e.correlation, e.received_at
            """
        );
        command.Parameters.Add(Reading.At(now));
        command.Parameters.Add(Reading.At(now + lease));
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await Read(reader, cancellation);
    }

    /// <summary>Takes waiting events for the length of the session's transaction.</summary>
    public static async Task<List<WaitingEvent>> Take(
        PostgresTransaction session,
        int most,
        CancellationToken cancellation
    )
    {
        await using var command = session.Command(
            """
            select seq, provider, event_id, type, body, correlation, received_at from webhook_events
            where state = 'received' order by seq limit $1 for update skip locked
            """
        );
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await Read(reader, cancellation);
    }

    static async Task<List<WaitingEvent>> Read(NpgsqlDataReader reader, CancellationToken cancellation)
    {
        return await reader.All(
            row => new WaitingEvent(
                row.GetInt64(0),
                row.GetString(1),
                row.GetString(2),
                row.GetString(3),
                row.GetString(4),
                row.TextOrNull(5),
                row.Time(6)
            ),
            cancellation
        );
    }

    /// <summary>Writes down what became of them, in the transaction of their effects.</summary>
    public static async Task Close(
        PostgresTransaction session,
        IReadOnlyList<ClosedEvent> closed,
        DateTimeOffset now,
        CancellationToken cancellation
    )
    {
        await using var batch = session.Batch();
        var command = new NpgsqlBatchCommand(
            """
            update webhook_events e
            set state = c.state, reason = c.reason, awaits = c.awaits, processed_at = $6,
                due_at = case when c.state = 'asking' then $6 end
            from unnest($1, $2, $3, $4, $5) as c (provider, event_id, state, reason, awaits)
            where e.provider = c.provider and e.event_id = c.event_id
            """
        );
        new Columns<ClosedEvent>(command, closed)
            .Text(row => row.Event.Provider)
            .Text(row => row.Event.EventId)
            .Text(row => Word(row.State))
            .Text(row => row.Reason)
            .Text(row => row.Awaits);
        command.Parameters.Add(Reading.At(now));
        batch.BatchCommands.Add(command);
        await batch.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>
    /// Events that came before their object wait again as soon as it is here, and those that take from a payment as soon
    /// as its money is booked: a refund in the dashboard is not ours, and a subscription's payment is no order's.
    /// </summary>
    public async Task<int> ReleaseParked(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            update webhook_events e set state = 'received', reason = null
            where state = 'parked' and (
                exists (select from payments where payment_id = e.object_id)
                or exists (select from payments where connector_payment_id = e.object_id)
                or exists (select from refunds where provider_refund_id = e.object_id)
                or exists (select from deposits where payment_id = e.awaits)
                or exists (
                    select from deposits d join subscription_payments p on p.payment_id = d.payment_id
                    where p.connector_payment_id = e.awaits))
            """
        );
        return await command.ExecuteNonQueryAsync(cancellation);
    }

    static string Word(EventState state) =>
        state switch
        {
            EventState.Asking => "asking",
            EventState.Processed => "processed",
            EventState.Known => "known",
            EventState.Ignored => "ignored",
            EventState.Parked => "parked",
            EventState.Quarantined => "quarantined",
            EventState.Poisoned => "poisoned",
            _ => throw new ArgumentOutOfRangeException(nameof(state), state, null),
        };
}
