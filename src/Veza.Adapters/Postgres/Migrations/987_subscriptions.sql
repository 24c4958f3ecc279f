-- Subscriptions and the payments of their periods, each under a name of its own; what they bring stands in the ledger
-- without an order.

create table subscriptions (
    id uuid primary key,
    subscriber_id text not null check (subscriber_id <> '' and length(subscriber_id) <= 255),
    plan_code text not null,
    amount bigint not null check (amount > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    interval text not null check (interval in ('day', 'week', 'month', 'year')),
    since timestamptz not null,
    status text not null check (status in ('pending_payment', 'active', 'past_due', 'canceled', 'expired')),
    period integer not null,
    retries integer not null,
    is_open boolean not null,
    due_at timestamptz,
    past_due_since timestamptz,
    -- Hyperswitch's name for what the subscriber pays with, once they have paid: renewals need nobody's presence.
    payment_method_id text,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((status in ('pending_payment', 'active', 'past_due')) = (due_at is not null)),
    check ((status = 'past_due') = (past_due_since is not null))
);
create index subscriptions_by_subscriber on subscriptions (subscriber_id, id);
create index subscriptions_due on subscriptions (due_at) where status in ('pending_payment', 'active', 'past_due');

create table subscription_payments (
    payment_id text primary key,
    subscription_id uuid not null references subscriptions,
    period integer not null,
    try integer not null,
    client_secret text,
    provider_status text,
    error_code text,
    error_message text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (subscription_id, period, try)
);

alter table ledger_entries alter column order_id drop not null;
