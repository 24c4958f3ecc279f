namespace Veza.Adapters.Postgres.Queries;

/// <summary>
/// What callers see of each thing, written as JSON by PostgreSQL itself: in the API's answers, and in the webhooks that
/// are written in the transaction of a change.
/// </summary>
static class JsonProjections
{
    public const string Reversals = """
        (select coalesce(json_agg(json_build_object('refund_id', r.refund_id, 'amount', r.amount,
            'adopted_amount', r.adopted_amount, 'stripe_reversal_id', r.stripe_reversal_id, 'status', r.status,
            'kept_amount', coalesce(r.kept, case when r.status = 'cancelled' then 0 else r.amount end),
            'created_at', r.created_at, 'updated_at', r.updated_at) order by r.position), '[]')
        from seller_transfer_reversals r where r.transfer_id = t.id)
        """;

    public const string Transfer = $"""
        'id', t.id, 'order_id', t.order_id, 'compensates_refund_id', t.compensates,
        'seller_id', t.seller_id, 'stripe_account_id', t.stripe_account_id,
        'currency', t.currency,
        'amount', case when t.status = 'cancelled' then t.amount else t.amount - s.withheld end,
        'withheld_amount', s.withheld, 'status', t.status, 'stripe_transfer_id', t.stripe_transfer_id,
        'reversed_amount', s.reversed, 'foreign_amount', t.foreign_amount,
        'retry_count', t.retry_count,
        'next_retry_at', case when t.status in ('pending', 'failed', 'reversal_pending') then t.due_at end,
        'waiting_for', case when t.status in ('pending', 'failed', 'reversal_pending') then t.waiting_for end,
        'waiting_since', case when t.status in ('pending', 'failed', 'reversal_pending', 'permanently_failed')
            then t.waiting_since end,
        'redirectable_to', case when t.sends = 0 and t.taking is null
                and t.status in ('pending', 'failed', 'permanently_failed')
            then (select x.stripe_account_id from sellers x
                where x.id = t.seller_id and x.stripe_account_id <> t.stripe_account_id) end,
        'given_up', t.given_up, 'version', t.version,
        'failure', case when t.trouble_code is not null
            then json_build_object('code', t.trouble_code, 'message', t.trouble_message) end,
        'reversals', {Reversals}, 'created_at', t.created_at, 'updated_at', t.updated_at
        """;

    /// <summary>The sums of each transfer <c>t</c>, as <c>s</c>.</summary>
    public const string TransferSums = "cross join lateral transfer_sums(t) s";

    public static string HistoryOf(string id) =>
        $"""
            (select coalesce(json_agg(json_build_object('from', h.from_status, 'to', h.to_status, 'signal', h.signal,
                'at', h.at, 'actor', h.actor, 'provider_request_id', h.provider_request_id, 'detail', h.detail,
                'correlation_id', h.correlation)
                order by h.seq), '[]')
            from transitions h where h.entity_id = {id})
            """;

    public const string Refund = """
        'id', r.id, 'order_id', r.order_id, 'provider_refund_id', r.provider_refund_id, 'amount', r.amount,
        'currency', r.currency, 'scope', r.scope, 'line_ids', to_json(r.line_ids), 'reason', r.reason,
        'status', r.status, 'undone', r.undone,
        'failure', case when r.failure_code is not null
            then json_build_object('code', r.failure_code, 'message', r.failure_message) end,
        'created_at', r.created_at, 'updated_at', r.updated_at
        """;

    public const string License = """
        'id', l.id, 'order_id', l.order_id, 'line_id', l.line_id, 'buyer_id', l.buyer_id,
        'product_id', l.product_id, 'kind', l.kind, 'expires_at', l.expires_at, 'status', l.status,
        'revoked_by', l.revoked_by, 'created_at', l.created_at, 'updated_at', l.updated_at
        """;

    public const string Dispute = """
        'id', d.id, 'order_id', d.order_id, 'provider_dispute_id', d.provider_dispute_id, 'amount', d.amount,
        'currency', d.currency, 'stage', d.stage, 'status', d.status, 'reason', d.reason,
        'respond_by', d.respond_by,
        'refund_id', d.refund_ids[array_upper(d.refund_ids, 1)], 'refund_ids', d.refund_ids,
        'created_at', d.created_at, 'updated_at', d.updated_at
        """;

    public const string Payout = """
        'id', p.id, 'seller_id', p.seller_id, 'stripe_account_id', p.stripe_account_id, 'amount', p.amount,
        'currency', p.currency,
        'status', case when p.status in ('requested', 'in_doubt') then 'pending' else p.status end,
        'external_payout_id', p.stripe_payout_id, 'needs_operator', p.status = 'in_doubt',
        'waiting_for', case when p.status = 'requested' then p.waiting_for end, 'waiting_since', p.waiting_since,
        'failure', case when p.failure_code is not null
            then json_build_object('code', p.failure_code, 'message', p.failure_message) end,
        'created_at', p.created_at, 'updated_at', p.updated_at
        """;

    public const string Order = $"""
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
            where t.id = any(array(select transfer_id from order_legs where order_id = o.id union all
                select id from seller_transfers where order_id = o.id and compensates is not null))),
        'created_at', o.created_at, 'updated_at', o.updated_at
        """;

    public const string Subscription = """
        'id', s.id, 'subscriber_id', s.subscriber_id,
        'plan', json_build_object('code', s.plan_code, 'amount', s.amount, 'currency', s.currency,
            'interval', s.interval),
        'status', s.status,
        'paid_periods', (select count(*) from deposits d where d.subscription_id = s.id and d.status = 'earned'),
        'paid_until', s.paid_until,
        'next_charge_at', s.due_at, 'past_due_since', s.past_due_since,
        'payment', (select json_build_object('payment_id', p.payment_id, 'client_secret', p.client_secret,
            'period', p.period, 'status', coalesce(p.provider_status, 'pending'),
            'error', case when p.error_code is not null
                then json_build_object('code', p.error_code, 'message', p.error_message) end)
            from subscription_payments p where p.subscription_id = s.id order by p.period desc, p.try desc limit 1),
        'created_at', s.created_at, 'updated_at', s.updated_at
        """;

    public const string Deposit = """
        'id', d.id, 'payment_id', d.payment_id, 'order_id', d.order_id, 'subscription_id', d.subscription_id,
        'period', d.period, 'amount', d.amount, 'taken', d.taken, 'currency', d.currency, 'status', d.status,
        'reason', d.stray, 'withdrawals', (select coalesce(json_agg(json_build_object('provider_id', w.name,
            'amount', w.amount, 'status', w.word) order by w.place), '[]')
            from unnest(d.withdrawal_names, d.withdrawal_amounts, d.withdrawal_words)
                with ordinality as w (name, amount, word, place)),
        'error', case when d.trouble_code is not null
            then json_build_object('code', d.trouble_code, 'message', d.trouble_message) end,
        'next_try_at', d.due_at, 'created_at', d.created_at, 'updated_at', d.updated_at
        """;

    /// <summary>A payout's status before Stripe has it is nobody's but Veza's own.</summary>
    public static string Shown(string status) =>
        $"case when entity = 'payout' and {status} in ('requested', 'in_doubt') then 'pending' else {status} end";
}
