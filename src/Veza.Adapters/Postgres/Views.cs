using Npgsql;

namespace Veza.Adapters.Postgres;

/// <summary>One page of a list: JSON objects, newest first.</summary>
public sealed record Page(IReadOnlyList<string> Items, bool HasMore, Guid? Last);

/// <summary>
/// What callers see, written as JSON by PostgreSQL itself: one statement for an order with everything in it.
/// </summary>
public sealed class Views(NpgsqlDataSource database)
{
    const string Reversals = """
        (select coalesce(json_agg(json_build_object('refund_id', r.refund_id, 'amount', r.amount,
            'adopted_amount', r.adopted_amount, 'stripe_reversal_id', r.stripe_reversal_id, 'status', r.status,
            'kept_amount', coalesce(r.kept, case when r.status = 'cancelled' then 0 else r.amount end),
            'created_at', r.created_at, 'updated_at', r.updated_at) order by r.position), '[]')
        from seller_transfer_reversals r where r.transfer_id = t.id)
        """;

    const string Transfer = $"""
        'id', t.id, 'order_id', t.order_id, 'compensates_refund_id', t.compensates,
        'seller_id', t.seller_id, 'stripe_account_id', t.stripe_account_id,
        'currency', t.currency,
        'amount', case when t.status = 'cancelled' then t.amount else t.amount - s.withheld end,
        'withheld_amount', s.withheld, 'status', t.status, 'stripe_transfer_id', t.stripe_transfer_id,
        'reversed_amount', s.reversed + t.foreign_amount, 'foreign_amount', t.foreign_amount,
        'retry_count', t.retry_count,
        'next_retry_at', case when t.status in ('pending', 'failed', 'reversal_pending') then t.due_at end,
        'waiting_for', case when t.status in ('pending', 'failed', 'reversal_pending') then t.waiting_for end,
        'given_up', t.given_up,
        'failure', case when t.trouble_code is not null
            then json_build_object('code', t.trouble_code, 'message', t.trouble_message) end,
        'reversals', {Reversals}, 'created_at', t.created_at, 'updated_at', t.updated_at
        """;

    const string TransferSums = """
        cross join lateral (
            select coalesce(sum(amount) filter (where status = 'withheld'), 0)::bigint as withheld,
                coalesce(sum(amount) filter (where status = 'reversed'), 0)::bigint as reversed
            from seller_transfer_reversals where transfer_id = t.id) s
        """;

    const string History = """
        (select coalesce(json_agg(json_build_object('from', h.from_status, 'to', h.to_status, 'signal', h.signal,
            'at', h.at, 'actor', h.actor, 'provider_request_id', h.provider_request_id, 'detail', h.detail)
            order by h.seq), '[]')
        from transitions h where h.entity_id = t.id)
        """;

    const string Refund = """
        'id', r.id, 'order_id', r.order_id, 'provider_refund_id', r.provider_refund_id, 'amount', r.amount,
        'currency', r.currency, 'scope', r.scope, 'line_ids', to_json(r.line_ids), 'reason', r.reason,
        'status', r.status, 'undone', r.undone,
        'failure', case when r.failure_code is not null
            then json_build_object('code', r.failure_code, 'message', r.failure_message) end,
        'created_at', r.created_at, 'updated_at', r.updated_at
        """;

    const string License = """
        'id', l.id, 'order_id', l.order_id, 'line_id', l.line_id, 'buyer_id', l.buyer_id,
        'product_id', l.product_id, 'kind', l.kind, 'expires_at', l.expires_at, 'status', l.status,
        'revoked_by', l.revoked_by, 'created_at', l.created_at, 'updated_at', l.updated_at
        """;

    const string Dispute = """
        'id', d.id, 'order_id', d.order_id, 'provider_dispute_id', d.provider_dispute_id, 'amount', d.amount,
        'currency', d.currency, 'stage', d.stage, 'status', d.status, 'refund_id', d.refund_id,
        'created_at', d.created_at, 'updated_at', d.updated_at
        """;

    const string Payout = """
        'id', p.id, 'seller_id', p.seller_id, 'stripe_account_id', p.stripe_account_id, 'amount', p.amount,
        'currency', p.currency,
        'status', case when p.status in ('requested', 'in_doubt') then 'pending' else p.status end,
        'external_payout_id', p.stripe_payout_id, 'needs_operator', p.status = 'in_doubt',
        'failure', case when p.failure_code is not null
            then json_build_object('code', p.failure_code, 'message', p.failure_message) end,
        'created_at', p.created_at, 'updated_at', p.updated_at
        """;

    const string Order = $"""
        'id', o.id, 'status', o.status, 'buyer_id', o.buyer_id, 'currency', o.currency, 'total', o.total,
        'refunded_amount', (select sum(refunded)::bigint from order_legs where order_id = o.id),
        'refundable_amount', case when o.status in ('completed', 'partially_refunded')
            then (select sum(gross - reserved)::bigint from order_legs where order_id = o.id) else 0 end,
        'metadata', o.metadata,
        'lines', (select json_agg(json_build_object('id', l.id, 'product_id', l.product_id,
            'seller_id', l.seller_id, 'quantity', l.quantity, 'unit_amount', l.unit_amount,
            'amount', l.quantity * l.unit_amount,
            'license', json_build_object('kind', l.license_kind, 'expires_at', l.license_expires_at),
            'refunded_by', l.refunded_by) order by l.position) from order_lines l where l.order_id = o.id),
        'legs', (select json_agg(json_build_object('seller_id', g.seller_id, 'gross', g.gross, 'fee', g.fee,
            'net', g.gross - g.fee, 'refunded', g.refunded) order by g.position)
            from order_legs g where g.order_id = o.id),
        'payment', (select json_build_object('payment_id', p.payment_id, 'status', p.provider_status,
            'error', case when p.error_code is not null
                then json_build_object('code', p.error_code, 'message', p.error_message) end)
            from payments p where p.order_id = o.id),
        'refunds', (select coalesce(json_agg(json_build_object({Refund}) order by r.id), '[]')
            from refunds r where r.order_id = o.id),
        'disputes', (select coalesce(json_agg(json_build_object({Dispute}) order by d.id), '[]')
            from disputes d where d.order_id = o.id),
        'licenses', (select coalesce(json_agg(json_build_object({License}) order by l.id), '[]')
            from licenses l where l.order_id = o.id),
        'transfers', (select coalesce(json_agg(json_build_object({Transfer}) order by t.id), '[]')
            from seller_transfers t {TransferSums}
            where t.id in (select transfer_id from order_legs where order_id = o.id)
                or (t.order_id = o.id and t.compensates is not null)),
        'created_at', o.created_at, 'updated_at', o.updated_at
        """;

    const string Subscription = """
        'id', s.id, 'subscriber_id', s.subscriber_id,
        'plan', json_build_object('code', s.plan_code, 'amount', s.amount, 'currency', s.currency,
            'interval', s.interval),
        'status', s.status,
        'paid_periods', s.period - case when s.status in ('pending_payment', 'past_due') then 1 else 0 end,
        'paid_until', case when s.status = 'active' then s.due_at else s.past_due_since end,
        'next_charge_at', s.due_at, 'past_due_since', s.past_due_since,
        'payment', (select json_build_object('payment_id', p.payment_id, 'client_secret', p.client_secret,
            'period', p.period, 'status', coalesce(p.provider_status, 'pending'),
            'error', case when p.error_code is not null
                then json_build_object('code', p.error_code, 'message', p.error_message) end)
            from subscription_payments p where p.subscription_id = s.id order by p.period desc, p.try desc limit 1),
        'created_at', s.created_at, 'updated_at', s.updated_at
        """;

    public Task<string?> FindOrder(Guid id, CancellationToken cancellation) =>
        One($"select json_build_object({Order})::text from orders o where o.id = $1", id, cancellation);

    public Task<string?> FindRefund(Guid id, CancellationToken cancellation) =>
        One($"select json_build_object({Refund})::text from refunds r where r.id = $1", id, cancellation);

    public Task<string?> FindTransfer(Guid id, CancellationToken cancellation) =>
        One(
            $"""
            select json_build_object({Transfer}, 'history', {History})::text
            from seller_transfers t {TransferSums} where t.id = $1
            """,
            id,
            cancellation
        );

    public Task<string?> FindLicense(Guid id, CancellationToken cancellation) =>
        One($"select json_build_object({License})::text from licenses l where l.id = $1", id, cancellation);

    public Task<string?> FindSeller(string id, CancellationToken cancellation) =>
        One(
            """
            select json_build_object('seller_id', id, 'stripe_account_id', stripe_account_id,
                'platform_fee_bps', platform_fee_bps, 'payouts_enabled', payouts_enabled,
                'transfers_active', transfers_active, 'disabled_reason', disabled_reason,
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
                    coalesce(sum(t.amount - s.withheld) filter (where t.stripe_transfer_id is not null), 0)::bigint
                        as transferred,
                    coalesce(sum(s.reversed + t.foreign_amount), 0)::bigint as reversed,
                    coalesce(sum(s.waiting) filter (where t.status <> 'permanently_failed'
                        and t.waiting_for is distinct from 'seller_funds'), 0)::bigint as reversal_pending,
                    coalesce(sum(s.waiting) filter (where t.status = 'permanently_failed'
                        or t.waiting_for = 'seller_funds'), 0)::bigint as debt
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
                left join lateral (
                    select coalesce(sum(amount) filter (where status = 'withheld'), 0) as withheld,
                        coalesce(sum(amount) filter (where status = 'reversed'), 0) as reversed,
                        coalesce(sum(coalesce(kept, amount)) filter (where status in ('pending', 'failed')), 0)
                            as waiting
                    from seller_transfer_reversals where transfer_id = t.id) s on true
                group by e.currency) b on true
            where x.id = $1
            group by x.id
            """,
            seller,
            cancellation
        );

    public Task<Page> ListOrders(
        string? status,
        string? buyer,
        string? seller,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"""
            select o.id, json_build_object({Order})::text from orders o
            where ($1::text is null or o.status = $1) and ($2::text is null or o.buyer_id = $2)
                and ($3::text is null or exists (
                    select from order_legs where order_id = o.id and seller_id = $3))
                and ($4::uuid is null or o.id < $4)
            order by o.id desc limit $5
            """,
            [status, buyer, seller],
            after,
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
            $"""
            select r.id, json_build_object({Refund})::text from refunds r
            where ($1::text is null or r.status = $1) and ($2::text is null or r.order_id = $2::uuid)
                and ($3::uuid is null or r.id < $3)
            order by r.id desc limit $4
            """,
            [status, order?.ToString()],
            after,
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
            select t.id, json_build_object({Transfer}, 'history', {History})::text
            from seller_transfers t {TransferSums}
            where ($1::text is null or t.status = $1)
                and ($2::text is null or t.id in (select transfer_id from order_legs where seller_id = $2
                    union all select id from seller_transfers where seller_id = $2 and compensates is not null))
                and ($3::text is null or t.id in (select transfer_id from order_legs where order_id = $3::uuid
                    union all
                    select id from seller_transfers where order_id = $3::uuid and compensates is not null))
                and ($4::uuid is null or t.id < $4)
            order by t.id desc limit $5
            """,
            [status, seller, order?.ToString()],
            after,
            limit,
            cancellation
        );

    public Task<string?> FindPayout(Guid id, CancellationToken cancellation) =>
        One($"select json_build_object({Payout})::text from payouts p where p.id = $1", id, cancellation);

    public Task<Page> ListPayouts(
        string? status,
        string? seller,
        Guid? after,
        int limit,
        CancellationToken cancellation
    ) =>
        Many(
            $"""
            select p.id, json_build_object({Payout})::text from payouts p
            where ($1::text is null
                    or case when p.status in ('requested', 'in_doubt') then 'pending' else p.status end = $1)
                and ($2::text is null or p.seller_id = $2) and ($3::uuid is null or p.id < $3)
            order by p.id desc limit $4
            """,
            [status, seller],
            after,
            limit,
            cancellation
        );

    public Task<string?> FindSubscription(Guid id, CancellationToken cancellation) =>
        One(
            $"select json_build_object({Subscription})::text from subscriptions s where s.id = $1",
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
            $"""
            select s.id, json_build_object({Subscription})::text from subscriptions s
            where ($1::text is null or s.status = $1) and ($2::text is null or s.subscriber_id = $2)
                and ($3::uuid is null or s.id < $3)
            order by s.id desc limit $4
            """,
            [status, subscriber],
            after,
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
            $"""
            select l.id, json_build_object({License})::text from licenses l
            where ($1::text is null or l.buyer_id = $1) and ($2::text is null or l.product_id = $2)
                and ($3::text is null or l.status = $3) and ($4::uuid is null or l.id < $4)
            order by l.id desc limit $5
            """,
            [buyer, product, status],
            after,
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
        await using var command = database.CreateCommand(
            """
            select seq, json_build_object('id', seq, 'order_id', order_id, 'source', source,
                'source_id', source_id, 'account', account, 'currency', currency, 'amount', amount, 'at', at)::text
            from ledger_entries
            where ($1::uuid is null or order_id = $1) and ($2::text is null or account = $2) and seq > $3
            order by seq limit $4
            """
        );
        command.Parameters.Add(Reading.Uuid(order));
        command.Parameters.Add(Reading.Text(account));
        command.Parameters.AddWithValue(after);
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        return await reader.Page<long>(limit, cancellation);
    }

    /// <summary>Per currency: every account's balance and their sum, which is zero or something is very wrong.</summary>
    public async Task<string> TrialBalance(CancellationToken cancellation) =>
        await One(
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
            where $1::text is null
            """,
            DBNull.Value,
            cancellation
        ) ?? "[]";

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
        command.Parameters.Add(key is DBNull ? Reading.Text(null) : new NpgsqlParameter { Value = key });
        return await command.ExecuteScalarAsync(cancellation) as string;
    }

    /// <summary>One row more than asked for tells whether there are more.</summary>
    async Task<Page> Many(
        string sql,
        IReadOnlyList<string?> filters,
        Guid? after,
        int limit,
        CancellationToken cancellation
    )
    {
        await using var command = database.CreateCommand(sql);
        foreach (var filter in filters)
        {
            command.Parameters.Add(Reading.Text(filter));
        }

        command.Parameters.Add(Reading.Uuid(after));
        command.Parameters.AddWithValue(limit + 1);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var (items, hasMore, last) = await reader.Page<Guid>(limit, cancellation);
        return new Page(items, hasMore, last);
    }
}
