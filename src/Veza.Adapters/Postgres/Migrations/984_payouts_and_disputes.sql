-- Sellers' payouts and buyers' disputes. A dispute has the name that Stripe gives it where that is known, because both
-- providers report the same one.

alter table transitions alter column order_id drop not null;

create table payouts (
    id uuid primary key,
    seller_id text not null references sellers,
    stripe_account_id text not null,
    amount bigint not null check (amount > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    status text not null check (status in ('requested', 'pending', 'in_transit', 'paid', 'canceled', 'failed',
        'in_doubt')),
    stripe_payout_id text,
    generation integer not null,
    sends integer not null,
    first_sent_at timestamptz,
    move text check (move in ('send', 'look_up', 'prove')),
    retry_count integer not null,
    due_at timestamptz,
    waiting_for text,
    failure_cause text,
    failure_code text,
    failure_message text,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((sends = 0) = (first_sent_at is null)),
    check ((status = 'failed') = (failure_code is not null)),
    check (status not in ('requested', 'pending', 'in_transit') or due_at is not null)
);
create unique index payouts_stripe_payout_id on payouts (stripe_payout_id) where stripe_payout_id is not null;
create index payouts_by_seller on payouts (seller_id, id);
create index payouts_due on payouts (due_at) where status in ('requested', 'pending', 'in_transit');

create table disputes (
    id uuid primary key,
    order_id uuid not null references orders,
    provider_dispute_id text not null unique,
    amount bigint not null check (amount > 0),
    currency text not null,
    share_sellers text[] not null,
    share_amounts bigint[] not null,
    stage text not null,
    ruling text not null,
    status text not null check (status in ('open', 'won', 'lost')),
    due_at timestamptz,
    refund_id uuid,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((status = 'open') = (due_at is not null)),
    check ((status = 'lost') = (refund_id is not null))
);
create index disputes_by_order on disputes (order_id);
create index disputes_due on disputes (due_at) where status = 'open';

-- Stripe's name for a payment, by which its disputes find their order.
alter table payments add column connector_payment_id text;
create index payments_by_connector on payments (connector_payment_id) where connector_payment_id is not null;

-- What Stripe says of a seller's account.
alter table sellers
    add column payouts_enabled boolean,
    add column transfers_active boolean,
    add column disabled_reason text;
create index sellers_by_account on sellers (stripe_account_id);
create index seller_transfers_for_funds on seller_transfers (stripe_account_id, waiting_for)
    where waiting_for in ('seller_funds', 'platform_funds');
