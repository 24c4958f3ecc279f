using Npgsql;

namespace Veza.Adapters.Postgres.Queries;

/// <summary>One page of a list: JSON objects, newest first.</summary>
public sealed record Page(IReadOnlyList<string> Items, bool HasMore, Guid? Last);

/// <summary>
/// What callers see, written as JSON by PostgreSQL itself: one statement for an order with everything in it.
/// </summary>
public sealed class ReadModels(NpgsqlDataSource database)
{
    public Task<string?> FindOrder(Guid id, CancellationToken cancellation) =>
        One(
            $"select json_build_object({JsonProjections.Order})::text from orders o where o.id = $1",
            id,
            cancellation
        );

    public Task<string?> FindRefund(Guid id, CancellationToken cancellation) =>
        One(
            $"select json_build_object({JsonProjections.Refund})::text from refunds r where r.id = $1",
            id,
            cancellation
        );

    public Task<string?> FindTransfer(Guid id, CancellationToken cancellation) =>
        One(
            $"""
            select json_build_object({JsonProjections.Transfer}, 'history', {JsonProjections.HistoryOf(
                "t.id"
            )})::text
            from seller_transfers t {JsonProjections.TransferSums} where t.id = $1
            """,
            id,
            cancellation
        );

    public Task<string?> FindLicense(Guid id, CancellationToken cancellation) =>
        One(
            $"select json_build_object({JsonProjections.License})::text from licenses l where l.id = $1",
            id,
            cancellation
        );

    public Task<string?> FindSeller(string id, CancellationToken cancellation) =>
        One(
            """
            select json_build_object('seller_id', id, 'stripe_account_id', stripe_account_id,
                'platform_fee_bps', platform_fee_bps, 'payouts_enabled', payouts_enabled,
                'transfers_active', transfers_active, 'disabled_reason', disabled_reason,
                'history', (select coalesce(json_agg(json_build_object(
                    'from', case when h.from_account is not null then json_build_object(
                        'stripe_account_id', h.from_account, 'platform_fee_bps', h.from_fee_bps) end,
                    'to', json_build_object('stripe_account_id', h.to_account, 'platform_fee_bps', h.to_fee_bps),
                    'at', h.at, 'actor', h.actor, 'correlation_id', h.correlation) order by h.seq), '[]')
                    from seller_changes h where h.seller_id = sellers.id),
                'created_at', created_at, 'updated_at', updated_at)::text
            from sellers where id = $1
            """,
            id,
            cancellation
        );

    /// <summary>
    /// Null if there is no such seller. `debt` is what could not be taken back: the seller's balance is empty or
    /// Veza has given up. It is part of neither `reversed` nor `reversal_pending`.
    /// </summary>
    public Task<string?> FindBalance(string seller, CancellationToken cancellation) =>
        One(
            """
            select coalesce(json_agg(json_build_object('currency', b.currency, 'earned', b.earned,
                'transferred', b.transferred, 'reversed', b.reversed, 'reversal_pending', b.reversal_pending,
                'debt', b.debt) order by b.currency) filter (where b.currency is not null), '[]')::text
            from sellers x
            left join lateral (
                select e.currency, sum(e.earned)::bigint as earned,
                    coalesce(sum(s.sent), 0)::bigint as transferred,
                    coalesce(sum(s.reversed), 0)::bigint as reversed,
                    coalesce(sum(s.pending), 0)::bigint as reversal_pending,
                    coalesce(sum(s.debt), 0)::bigint as debt
                from (
                    select o.currency, g.gross - g.fee as earned, g.transfer_id
                    from order_legs g
                    join orders o on o.id = g.order_id
                        and o.status in ('completed', 'partially_refunded', 'refunded')
                    where g.seller_id = x.id
                    union all
                    select currency, 0, id from seller_transfers where seller_id = x.id and compensates is not null
                ) e
                left join seller_transfers t on t.id = e.transfer_id
                left join lateral transfer_sums(t) s on true
                group by e.currency) b on true
            where x.id = $1
            group by x.id
            """,
            seller,
            cancellation
        );

    /// <summary>What open disputes hold of an order; it cannot be refunded beside them.</summary>
    public async Task<long> HeldByDisputes(Guid order, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            select coalesce(sum(held), 0)::bigint from disputes, unnest(share_amounts) as held
            where order_id = $1 and status = 'open'
            """
        );
        command.Parameters.AddWithValue(order);
        return (long)(await command.ExecuteScalarAsync(cancellation))!;
    }

    public Task<Page> ListOrders(
        string? status,
        string? buyer,
        string? seller,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select o.id, json_build_object({JsonProjections.Order})::text from orders o",
            [
                ("o.status = $", Reading.Text(status)),
                ("o.buyer_id = $", Reading.Text(buyer)),
                ("o.id in (select order_id from order_legs where seller_id = $)", Reading.Text(seller)),
                ("o.id < $", Reading.Uuid(after)),
            ],
            "o.id",
            limit,
            cancellation
        );

    public Task<Page> ListRefunds(
        string? status,
        Guid? order,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select r.id, json_build_object({JsonProjections.Refund})::text from refunds r",
            [
                ("r.status = $", Reading.Text(status)),
                ("r.order_id = $", Reading.Uuid(order)),
                ("r.id < $", Reading.Uuid(after)),
            ],
            "r.id",
            limit,
            cancellation
        );

    public Task<Page> ListTransfers(
        string? status,
        string? seller,
        Guid? order,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"""
            select t.id, json_build_object({JsonProjections.Transfer}, 'history', {JsonProjections.HistoryOf(
                "t.id"
            )})::text
            from seller_transfers t {JsonProjections.TransferSums}
            """,
            [
                ("t.status = $", Reading.Text(status)),
                (
                    """
                    t.id in (select transfer_id from order_legs where seller_id = $ union all
                        select id from seller_transfers where seller_id = $ and compensates is not null)
                    """,
                    Reading.Text(seller)
                ),
                (
                    """
                    t.id in (select transfer_id from order_legs where order_id = $ union all
                        select id from seller_transfers where order_id = $ and compensates is not null)
                    """,
                    Reading.Uuid(order)
                ),
                ("t.id < $", Reading.Uuid(after)),
            ],
            "t.id",
            limit,
            cancellation
        );

    public Task<string?> FindPayout(Guid id, CancellationToken cancellation) =>
        One(
            $"""
            select json_build_object({JsonProjections.Payout}, 'history', {JsonProjections.HistoryOf(
                "p.id"
            )})::text
            from payouts p where p.id = $1
            """,
            id,
            cancellation
        );

    public Task<Page> ListPayouts(
        string? status,
        string? seller,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select p.id, json_build_object({JsonProjections.Payout})::text from payouts p",
            [
                (
                    "case when p.status in ('requested', 'in_doubt') then 'pending' else p.status end = $",
                    Reading.Text(status)
                ),
                ("p.seller_id = $", Reading.Text(seller)),
                ("p.id < $", Reading.Uuid(after)),
            ],
            "p.id",
            limit,
            cancellation
        );

    public Task<string?> FindDispute(Guid id, CancellationToken cancellation) =>
        One(
            $"""
            select json_build_object({JsonProjections.Dispute}, 'history', {JsonProjections.HistoryOf(
                "d.id"
            )})::text
            from disputes d where d.id = $1
            """,
            id,
            cancellation
        );

    public Task<Page> ListDisputes(
        string? status,
        Guid? order,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select d.id, json_build_object({JsonProjections.Dispute})::text from disputes d",
            [
                ("d.status = $", Reading.Text(status)),
                ("d.order_id = $", Reading.Uuid(order)),
                ("d.id < $", Reading.Uuid(after)),
            ],
            "d.id",
            limit,
            cancellation
        );

    public Task<string?> FindDeposit(Guid id, CancellationToken cancellation) =>
        One(
            $"""
            select json_build_object({JsonProjections.Deposit}, 'history', {JsonProjections.HistoryOf(
                "d.id"
            )})::text
            from deposits d where d.id = $1
            """,
            id,
            cancellation
        );

    /// <summary>Newest first by when they came in: their ids follow from their payments' and tell no time.</summary>
    public Task<Page> ListDeposits(string? status, Guid? after, int limit, CancellationToken cancellation) =>
        Many(
            $"select d.id, json_build_object({JsonProjections.Deposit})::text from deposits d",
            [
                ("d.status = $", Reading.Text(status)),
                (
                    "(d.created_at, d.id) < (select c.created_at, c.id from deposits c where c.id = $)",
                    Reading.Uuid(after)
                ),
            ],
            "d.created_at desc, d.id",
            limit,
            cancellation
        );

    public Task<string?> FindSubscription(Guid id, CancellationToken cancellation) =>
        One(
            $"select json_build_object({JsonProjections.Subscription})::text from subscriptions s where s.id = $1",
            id,
            cancellation
        );

    public Task<Page> ListSubscriptions(
        string? status,
        string? subscriber,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select s.id, json_build_object({JsonProjections.Subscription})::text from subscriptions s",
            [
                ("s.status = $", Reading.Text(status)),
                ("s.subscriber_id = $", Reading.Text(subscriber)),
                ("s.id < $", Reading.Uuid(after)),
            ],
            "s.id",
            limit,
            cancellation
        );

    public Task<Page> ListLicenses(
        string? buyer,
        string? product,
        string? status,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"select l.id, json_build_object({JsonProjections.License})::text from licenses l",
            [
                ("l.buyer_id = $", Reading.Text(buyer)),
                ("l.product_id = $", Reading.Text(product)),
                ("l.status = $", Reading.Text(status)),
                ("l.id < $", Reading.Uuid(after)),
            ],
            "l.id",
            limit,
            cancellation
        );

    /// <param name="about">A kind of object, or one object's id.</param>
    public Task<Page> ListAudit(
        string? actor,
        string? action,
        string? about,
        DateTimeOffset? since,
        DateTimeOffset? until,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            """
            select a.id, json_build_object('id', a.id, 'at', a.at, 'actor', a.actor, 'role', a.role, 'via', a.via,
                'action', a.action, 'object', a.object, 'object_id', coalesce(a.object_id, o.object_id),
                'note', a.note, 'outcome', coalesce(o.outcome, 'unknown'), 'old', o.old, 'new', o.new,
                'request_id', a.request_id)::text
            from audit_log a left join audit_outcomes o on o.audit_id = a.id
            """,
            [
                ("a.actor = $", Reading.Text(actor)),
                ("a.action = $", Reading.Text(action)),
                ("(a.object = $ or a.object_id = $ or o.object_id = $)", Reading.Text(about)),
                ("a.at > $", Reading.At(since)),
                ("a.at < $", Reading.At(until)),
                ("a.id < $", Reading.Uuid(after)),
            ],
            "a.id",
            limit,
            cancellation
        );

    /// <summary>Oldest first; <paramref name="after"/> is the last sequence number already seen.</summary>
    public async Task<(IReadOnlyList<string> Items, bool HasMore, long? Last)> ListEntries(
        Guid? order,
        string? account,
        long after,
        int limit,
        CancellationToken cancellation
    )
    {
        await using var command = Filtered(
            """
            select seq, json_build_object('id', seq, 'order_id', order_id, 'source', source,
                'source_id', source_id, 'account', account, 'currency', currency, 'amount', amount, 'at', at,
                'correlation_id', correlation)::text
            from ledger_entries
            """,
            [
                ("order_id = $", Reading.Uuid(order)),
                ("account = $", Reading.Text(account)),
                ("seq > $", Reading.Bigint(after)),
            ],
            "seq",
            limit
        );
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.Page<long>(limit, cancellation);
    }

    /// <summary>Per currency: every account's balance and their sum, which is zero or something is very wrong.</summary>
    public async Task<string> TrialBalance(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            """
            select coalesce(json_agg(json_build_object('currency', currency, 'sum', total, 'accounts', accounts)
                order by currency), '[]')::text
            from (
                select currency, sum(balance)::bigint as total,
                    json_agg(json_build_object('account', account, 'balance', balance) order by account) as accounts
                from (
                    select currency, account, sum(amount)::bigint as balance
                    from ledger_entries group by currency, account) a
                group by currency) c
            """
        );
        return (string)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>How many transfers stand in each status; those of longer ago than a state lasts are few.</summary>
    public async Task<Dictionary<string, long>> CountTransfers(CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(
            "select status, count(*) from seller_transfers group by status"
        );
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var counts = new Dictionary<string, long>();
        while (await reader.ReadAsync(cancellation))
        {
            counts.Add(reader.GetString(0), reader.GetInt64(1));
        }

        return counts;
    }

    async Task<string?> One(string sql, object key, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(sql);
        command.Parameters.AddWithValue(key);
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    async Task<Page> Many(
        string sql,
        IReadOnlyList<(string Condition, NpgsqlParameter Value)> filters,
        string order,
        int limit,
        CancellationToken cancellation
    )
    {
        await using var command = Filtered(sql, filters, order + " desc", limit);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var (items, hasMore, last) = await reader.Page<Guid>(limit, cancellation);
        return new Page(items, hasMore, last);
    }

    /// <summary>
    /// Only the filters that were given stand in the statement, so that each has the plan that it needs: "no filter, or
    /// equal to it" reads the whole table. One row more than asked for tells whether there are more.
    /// </summary>
    NpgsqlCommand Filtered(
        string sql,
        IReadOnlyList<(string Condition, NpgsqlParameter Value)> filters,
        string order,
        int limit
    )
    {
        var command = database.CreateCommand();
        var conditions = new List<string>();
        foreach (var (condition, value) in filters.Where(filter => filter.Value.Value is not DBNull))
        {
            command.Parameters.Add(value);
            conditions.Add(condition.Replace("$", $"${command.Parameters.Count}", StringComparison.Ordinal));
        }

        var where = conditions.Count > 0 ? $"where {string.Join(" and ", conditions)}" : "";
        command.Parameters.AddWithValue(limit + 1);
        command.CommandText = $"{sql} {where} order by {order} limit ${command.Parameters.Count}";
        return command;
    }
}
