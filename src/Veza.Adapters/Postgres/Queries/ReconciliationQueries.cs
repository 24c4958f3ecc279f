using Npgsql;
using Veza.Domain.Disputes;
using Veza.Domain.Orders;
using Veza.Domain.Payouts;
using Veza.Domain.Reconciliation;
using Veza.Domain.Refunds;
using Veza.Domain.Transfers;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>An order whose own books contradict themselves.</summary>
public sealed record BrokenOrder(Guid OrderId, string Currency, string Rule, long Expected, long Found);

/// <summary>
/// Our side of a reconciliation: read many at a time, without locks, as of one moment. What has changed since a time is
/// found through the history; nothing here reads all of it.
/// </summary>
public sealed class ReconciliationQueries(NpgsqlDataSource database)
{
    /// <summary>The orders in which anything happened since then, in the order of their ids.</summary>
    public async Task<IReadOnlyList<Guid>> Touched(
        DateTimeOffset since,
        Guid? after,
        int most,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            """
            select order_id from transitions
            where at >= $1 and order_id is not null and ($2::uuid is null or order_id > $2)
            group by order_id order by order_id limit $3
            """
        );
        command.Parameters.Add(Reading.At(since));
        command.Parameters.Add(Reading.Uuid(after));
        command.Parameters.AddWithValue(most);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(row => row.GetGuid(0), cancellation);
    }

    /// <summary>Transfers by their own ids, by their orders', or by Stripe's.</summary>
    public async Task<IReadOnlyList<Line<Transfer>>> Transfers(
        IEnumerable<Guid> ids,
        IEnumerable<Guid> orders,
        IEnumerable<string> stripeIds,
        CancellationToken cancellation
    )
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        List<((TransferRow Row, int Version, string? Correlation) Read, DateTimeOffset ChangedAt)> rows;
        await using (
            var command = new NpgsqlCommand(
                $"""
                select {TransferRepository.Columns}, t.updated_at from seller_transfers t
                where t.id = any($1 || array(
                    select transfer_id from order_legs where order_id = any($2) union all
                    select id from seller_transfers where order_id = any($2) and compensates is not null union all
                    select id from seller_transfers where stripe_transfer_id = any($3) and stripe_transfer_id <> ''))
                """,
                connection
            )
        )
        {
            command.Parameters.Add(Reading.Uuids(ids));
            command.Parameters.Add(Reading.Uuids(orders));
            command.Parameters.Add(Reading.Texts(stripeIds));
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            rows = await reader.All(row => (TransferRepository.From(row), row.Time(26)), cancellation);
        }

        var reversals = await TransferRepository.LoadReversals(
            connection,
            rows.Select(row => row.Read.Row.Id),
            cancellation
        );
        return
        [
            .. TransferRepository
                .Assemble(rows.Select(row => row.Read), reversals)
                .Zip(rows, (transfer, row) => new Line<Transfer>(transfer.Value, row.ChangedAt)),
        ];
    }

    /// <summary>Orders by their own ids, or by Hyperswitch's names for their payments.</summary>
    public async Task<IReadOnlyDictionary<Guid, Line<Order>>> Orders(
        IEnumerable<Guid> ids,
        IEnumerable<string> payments,
        CancellationToken cancellation
    )
    {
        await using var session = await PostgresTransaction.Begin(database, cancellation);
        var changed = new Dictionary<Guid, DateTimeOffset>();
        await using (
            var command = session.Command(
                """
                select id, updated_at from orders
                where id = any($1) or id in (select order_id from payments where payment_id = any($2))
                """
            )
        )
        {
            command.Parameters.Add(Reading.Uuids(ids));
            command.Parameters.Add(Reading.Texts(payments));
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                changed.Add(reader.GetGuid(0), reader.Time(1));
            }
        }

        var orders = await OrderRepository.Peek(session, changed.Keys, cancellation);
        return orders.ToDictionary(
            order => order.Key,
            order => new Line<Order>(order.Value.Value, changed[order.Key])
        );
    }

    /// <summary>Refunds by Hyperswitch's names for them, or by their orders.</summary>
    public async Task<IReadOnlyList<Line<Refund>>> Refunds(
        IEnumerable<string> names,
        IEnumerable<Guid> orders,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            select {RefundRepository.Columns}, updated_at from refunds
            where provider_refund_id = any($1) or order_id = any($2)
            """
        );
        command.Parameters.Add(Reading.Texts(names));
        command.Parameters.Add(Reading.Uuids(orders));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new Line<Refund>(RefundRepository.From(row).Value, row.Time(18)),
            cancellation
        );
    }

    /// <summary>Disputes by the providers' names for them, or by their orders.</summary>
    public async Task<IReadOnlyList<Line<Dispute>>> Disputes(
        IEnumerable<string> names,
        IEnumerable<Guid> orders,
        CancellationToken cancellation
    ) => await DisputeRepository.Lines(database, names, orders, cancellation);

    /// <summary>Which orders these payments pay, by Hyperswitch's name for the payment or by its connector's.</summary>
    public async Task<IReadOnlyDictionary<string, Guid>> OrdersOfPayments(
        IReadOnlyCollection<string> payments,
        CancellationToken cancellation
    )
    {
        await using var session = await PostgresTransaction.Begin(database, cancellation);
        return await session.OrdersOfPayments(payments, cancellation);
    }

    /// <summary>The payouts in which anything happened since then.</summary>
    public async Task<IReadOnlyList<Line<Payout>>> Payouts(
        DateTimeOffset since,
        CancellationToken cancellation
    ) => await PayoutRepository.Touched(database, since, cancellation);

    /// <summary>
    /// What must hold of each order's own books whatever the providers say: the postings sum to zero per currency, and
    /// the platform's cash is what was captured, less what buyers and sellers have of it.
    /// </summary>
    public async Task<IReadOnlyList<BrokenOrder>> Broken(
        IReadOnlyCollection<Guid> orders,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(
            $"""
            with asked as (select unnest($1::uuid[]) as id),
            posted as (
                select e.order_id, e.currency, sum(e.amount)::bigint as total,
                    coalesce(sum(e.amount) filter (where e.account = 'platform_cash'), 0)::bigint as cash
                from ledger_entries e join asked a on a.id = e.order_id group by e.order_id, e.currency),
            moved as (
                select o.id as order_id, o.currency,
                    case when o.status in ('completed', 'partially_refunded', 'refunded') then o.total else 0 end
                    + (select coalesce(sum(d.amount - d.taken), 0) from deposits d
                        where d.order_id = o.id and d.currency = o.currency and d.status <> 'adopted')
                    - (select coalesce(sum(g.refunded), 0) from order_legs g where g.order_id = o.id)
                    -- What banks have withdrawn and no refund explains.
                    - (select coalesce(sum(d.amount - (select coalesce(sum(r), 0) from unnest(d.refund_amounts) r)), 0)
                        from disputes d
                        where d.order_id = o.id and d.status in ('open', 'lost') and d.stage <> 'pre_dispute')
                    - (select coalesce(sum(s.sent - s.reversed), 0)
                        from seller_transfers t {JsonProjections.TransferSums}
                        where t.id in (select transfer_id from order_legs where order_id = o.id)
                            or (t.order_id = o.id and t.compensates is not null)) as cash
                from orders o join asked a on a.id = o.id)
            select order_id, currency, 'ledger' as rule, 0::bigint, total from posted where total <> 0
            union all
            select m.order_id, m.currency, 'conservation', m.cash::bigint, coalesce(p.cash, 0)
            from moved m left join posted p on p.order_id = m.order_id and p.currency = m.currency
            where m.cash::bigint <> coalesce(p.cash, 0)
            """
        );
        command.Parameters.Add(Reading.Uuids(orders));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.All(
            row => new BrokenOrder(
                row.GetGuid(0),
                row.GetString(1),
                row.GetString(2),
                row.GetInt64(3),
                row.GetInt64(4)
            ),
            cancellation
        );
    }
}
