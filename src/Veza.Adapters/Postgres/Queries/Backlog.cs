using Npgsql;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>Something that waits: how much of it, since when, and where it is money, how much in minor units.</summary>
/// <param name="Queue">Such as <c>transfers</c>, <c>reversals</c>, <c>refunds</c>, <c>webhooks</c>.</param>
public sealed record Waiting(
    string Queue,
    string State,
    string WaitingFor,
    string Currency,
    long Count,
    DateTimeOffset Since,
    long Amount
);

/// <summary>What waits in the queues, by indexes of what waits: it costs nothing to have a long history.</summary>
public sealed class Backlog(NpgsqlDataSource database)
{
    public async Task<IReadOnlyList<Waiting>> Read(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            $"""
            with moving as (
                select t.id, t.status, coalesce(t.waiting_for, '') as waiting_for, t.currency, t.waiting_since,
                    t.amount - s.withheld as to_send, s.pending + s.debt as to_take_back
                from seller_transfers t {JsonProjections.TransferSums}
                where t.status in ('pending', 'failed', 'reversal_pending', 'permanently_failed'))
            select 'transfers', status, waiting_for, currency, count(*),
                min(least(waiting_since, now())), sum(to_send)::bigint
            from moving where status in ('pending', 'failed') group by 2, 3, 4
            union all
            select 'reversals', m.status, m.waiting_for, m.currency, count(*),
                min(r.since), sum(m.to_take_back)::bigint
            from moving m cross join lateral (
                select min(created_at) as since from seller_transfer_reversals
                where transfer_id = m.id and status in ('pending', 'failed')) r
            where r.since is not null group by 2, 3, 4
            union all
            select 'refunds', status, '', currency, count(*), min(created_at), sum(amount)::bigint
            from refunds where status in ('pending', 'submitted') group by 2, 4
            union all
            select 'payouts', status, coalesce(waiting_for, ''), currency, count(*), min(created_at), sum(amount)::bigint
            from payouts where status in ('requested', 'pending', 'in_transit') group by 2, 3, 4
            union all
            select 'subscriptions', status, '', currency, count(*), min(past_due_since), sum(amount)::bigint
            from subscriptions where status = 'past_due' group by 2, 4
            union all
            select 'webhooks', state, '', '', count(*), min(received_at), 0
            from webhook_events
            where state in ('received', 'asking') or state in ('parked', 'quarantined', 'poisoned') group by 2
            union all
            select 'deliveries', 'pending', '', '', count(*), min(due_at), 0
            from webhook_deliveries where state = 'pending' having count(*) > 0
            union all
            select 'deliveries', 'held', '', '', count(*), min(m.created_at), 0
            from webhook_deliveries d join webhook_messages m on m.seq = d.seq
            join webhook_endpoints e on e.id = d.endpoint_id and e.disabled_reason <> 'switched off'
            where d.state = 'held' having count(*) > 0
            """
        );
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new Waiting(
                row.GetString(0),
                row.GetString(1),
                row.GetString(2),
                row.GetString(3),
                row.GetInt64(4),
                row.Time(5),
                row.GetInt64(6)
            ),
            cancellation
        );
    }
}
