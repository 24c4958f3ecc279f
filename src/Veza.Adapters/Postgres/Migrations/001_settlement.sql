-- Foreign keys and indexes stand where somebody else writes or reads by them. The tables that only Veza's own
-- transactions fill (licenses, transfers, reversals, history, ledger) have no foreign keys: each would cost a
-- locking look-up per row on the hottest paths, to prove what the same transaction has just written.
--
-- Orders, their payments, refunds, licenses and sellers' transfers; the history and the books of all of them.
-- Amounts are minor units. Times are UTC. Statuses change only through the guarded updates of the adapters,
-- which write what the domain decided; the CHECK constraints say the same as the domain's ofRow once more.

create table sellers (
    id text primary key check (id <> '' and length(id) <= 255),
    stripe_account_id text not null check (stripe_account_id like 'acct\_%'),
    platform_fee_bps integer check (platform_fee_bps between 0 and 10000),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table orders (
    id uuid primary key,
    buyer_id text not null,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    total bigint not null check (total > 0),
    fee_policy text not null check (fee_policy in ('proportional', 'keep')),
    status text not null check (status in ('created', 'awaiting_payment', 'completed', 'payment_failed',
        'cancelled', 'partially_refunded', 'refunded')),
    metadata jsonb not null default '{}',
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index orders_by_buyer on orders (buyer_id, id);
create index orders_by_status on orders (status, id);

create table order_lines (
    order_id uuid not null references orders,
    position integer not null,
    id uuid not null,
    license_id uuid not null,
    product_id text not null,
    seller_id text not null,
    quantity integer not null check (quantity > 0),
    unit_amount bigint not null check (unit_amount >= 0),
    license_kind text not null,
    license_expires_at timestamptz,
    refunded_by uuid,
    primary key (order_id, position)
) with (fillfactor = 85);

create table order_legs (
    order_id uuid not null references orders,
    position integer not null,
    seller_id text not null references sellers,
    stripe_account_id text not null,
    transfer_id uuid not null,
    gross bigint not null check (gross >= 0),
    fee bigint not null check (fee between 0 and gross),
    reserved bigint not null default 0 check (reserved between 0 and gross),
    refunded bigint not null default 0 check (refunded between 0 and reserved),
    primary key (order_id, position)
) with (fillfactor = 70);
create index order_legs_by_seller on order_legs (seller_id, order_id);

-- What Hyperswitch answered for an order's payment, in its own words.
create table payments (
    order_id uuid primary key references orders,
    payment_id text not null unique,
    client_secret text,
    provider_status text,
    error_code text,
    error_message text,
    due_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index payments_due on payments (due_at) where due_at is not null;

create table refunds (
    id uuid primary key,
    order_id uuid not null references orders,
    provider_refund_id text not null unique,
    amount bigint not null check (amount > 0),
    currency text not null,
    scope text not null check (scope in ('amount', 'lines', 'rest')),
    line_ids uuid[] not null,
    share_sellers text[] not null,
    share_amounts bigint[] not null,
    reason text,
    status text not null check (status in ('pending', 'submitted', 'succeeded', 'failed')),
    sent_at timestamptz,
    sends integer not null,
    due_at timestamptz,
    failure_code text,
    failure_message text,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((status = 'failed') = (failure_code is not null)),
    check ((status in ('pending', 'submitted')) = (due_at is not null))
);
create index refunds_by_order on refunds (order_id, id);
create index refunds_due on refunds (due_at) where status in ('pending', 'submitted');

create table licenses (
    id uuid primary key,
    order_id uuid not null,
    line_id uuid not null,
    buyer_id text not null,
    product_id text not null,
    kind text not null,
    expires_at timestamptz,
    status text not null check (status in ('active', 'revoked')),
    revoked_by uuid,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((status = 'revoked') = (revoked_by is not null))
) with (fillfactor = 80);
create index licenses_by_order on licenses (order_id);
create index licenses_by_buyer on licenses (buyer_id, id);

create table seller_transfers (
    id uuid primary key,
    order_id uuid not null,
    seller_id text not null,
    stripe_account_id text not null,
    currency text not null,
    amount bigint not null check (amount > 0),
    status text not null check (status in ('pending', 'completed', 'failed', 'reversal_pending', 'reversed',
        'permanently_failed', 'cancelled', 'written_off')),
    stripe_transfer_id text,
    generation integer not null,
    sends integer not null,
    first_sent_at timestamptz,
    move text check (move in ('send', 'look_up', 'prove')),
    retry_count integer not null,
    due_at timestamptz,
    waiting_for text,
    given_up text,
    trouble_cause text,
    trouble_code text,
    trouble_message text,
    taking uuid,
    adopted bigint not null default 0,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((sends = 0) = (first_sent_at is null)),
    check ((status = 'permanently_failed') = (given_up is not null)),
    check (status not in ('pending', 'failed', 'reversal_pending') or (due_at is not null and move is not null))
) with (fillfactor = 80);
-- By order and by seller they are found through order_legs, whose rows hardly ever change.
create index seller_transfers_by_status on seller_transfers (status, id);
-- The workers' queues: only what is due stands in them, so a claim costs the same however long the history.
create index seller_transfers_to_send on seller_transfers (due_at) where status in ('pending', 'failed');
create index seller_transfers_to_reverse on seller_transfers (due_at) where status = 'reversal_pending';

create table seller_transfer_reversals (
    transfer_id uuid not null,
    refund_id uuid not null,
    position integer not null,
    amount bigint not null check (amount > 0),
    adopted_amount bigint not null default 0 check (adopted_amount between 0 and amount),
    status text not null check (status in ('pending', 'failed', 'reversed', 'withheld', 'written_off')),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (transfer_id, refund_id)
);

-- Every step of every aggregate, written in the transaction that made it.
create table transitions (
    seq bigint generated always as identity primary key,
    entity text not null,
    entity_id uuid not null,
    order_id uuid not null,
    from_status text,
    to_status text not null,
    signal text not null,
    detail text,
    actor text not null,
    provider_request_id text,
    at timestamptz not null
);
create index transitions_by_entity on transitions (entity_id, seq);

-- Double entry: the postings of one source at one time sum to zero per currency. Balances are sums.
create table ledger_entries (
    seq bigint generated always as identity primary key,
    order_id uuid not null,
    source text not null,
    source_id uuid not null,
    account text not null,
    currency text not null,
    amount bigint not null check (amount <> 0),
    at timestamptz not null
);
create index ledger_entries_by_order on ledger_entries (order_id, seq);
create index ledger_entries_by_account on ledger_entries (account, seq);

-- Webhooks, as received. The row is on disk before the provider hears 200; its effect follows.
create table webhook_events (
    provider text not null,
    event_id text not null,
    seq bigint generated always as identity,
    type text not null,
    object_id text not null,
    body text not null,
    state text not null default 'received' check (state in ('received', 'processed', 'known', 'ignored', 'parked',
        'quarantined', 'poisoned')),
    reason text,
    received_at timestamptz not null,
    processed_at timestamptz,
    primary key (provider, event_id)
) with (fillfactor = 90);
create index webhook_events_waiting on webhook_events (seq) where state = 'received';
create index webhook_events_to_look_at on webhook_events (state, seq) where state in ('parked', 'quarantined', 'poisoned');

create table api_keys (
    id uuid primary key,
    name text not null,
    role text not null check (role in ('read', 'service', 'operator')),
    hash bytea not null unique,
    created_at timestamptz not null,
    revoked_at timestamptz,
    last_used_at timestamptz
);
