-- Buyers' money outside of the books of orders: what pays a period of a subscription, and what belongs to nothing. What
-- refunds and disputes take from it stands with it, by the provider's name for each.

create table deposits (
    id uuid primary key,
    payment_id text not null unique,
    order_id uuid references orders,
    subscription_id uuid references subscriptions,
    period integer,
    try integer,
    amount bigint not null check (amount > 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    withdrawal_names text[] not null default '{}',
    withdrawal_amounts bigint[] not null default '{}',
    withdrawal_words text[] not null default '{}',
    taken bigint not null default 0,
    refused integer not null default 0,
    status text not null check (status in ('earned', 'held', 'to_confirm', 'returning', 'cleared', 'adopted')),
    stray text,
    since timestamptz,
    sent_at timestamptz,
    sends integer not null default 0,
    return_amount bigint,
    due_at timestamptz,
    trouble_code text,
    trouble_message text,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((order_id is null) <> (subscription_id is null)),
    check ((subscription_id is null) = (period is null) and (period is null) = (try is null)),
    check ((status in ('earned', 'adopted')) = (stray is null)),
    check ((status = 'held') = (since is not null)),
    check ((status in ('to_confirm', 'returning')) = (due_at is not null)),
    check ((status = 'returning') = (sent_at is not null))
);
create index deposits_by_order on deposits (order_id) where order_id is not null;
create index deposits_by_subscription on deposits (subscription_id, period) where subscription_id is not null;
create index deposits_due on deposits (due_at) where due_at is not null;
create index deposits_held on deposits (since) where status = 'held';
create index deposits_changed on deposits (updated_at);

-- Stripe's name for a period's payment, by which its disputes find their subscription.
alter table subscription_payments add column connector_payment_id text;
create index subscription_payments_by_connector on subscription_payments (connector_payment_id)
    where connector_payment_id is not null;
create index subscription_payments_changed on subscription_payments (updated_at);

-- The last payment that counts, and until when it gives access, whatever becomes of the subscription.
alter table subscriptions
    add column paid_period integer,
    add column paid_try integer,
    add column paid_until timestamptz;
update subscriptions s
set paid_period = p.period,
    paid_try = coalesce((
        select c.try from subscription_payments c
        where c.subscription_id = s.id and c.period = p.period and c.provider_status = 'succeeded'
        order by c.try limit 1), case when s.status = 'active' then s.retries else 0 end),
    paid_until = case s.status
        when 'active' then s.due_at
        when 'past_due' then s.past_due_since
        else (s.since at time zone 'UTC' + p.period * ('1 ' || s.interval)::interval) at time zone 'UTC' end
from (
    select id, period - case when status in ('pending_payment', 'past_due') then 1 else 0 end as period
    from subscriptions) p
where p.id = s.id and p.period > 0;
alter table subscriptions
    add check ((paid_period is null) = (paid_until is null) and (paid_period is null) = (paid_try is null)),
    add check (status not in ('active', 'past_due') or paid_until is not null);

-- What has been posted for the periods that are paid.
insert into deposits (id, payment_id, subscription_id, period, try, amount, currency, status, created_at, updated_at)
select gen_random_uuid(), c.payment_id, s.id, c.period, c.try, s.amount, s.currency, 'earned', c.updated_at, c.updated_at
from subscription_payments c join subscriptions s on s.id = c.subscription_id
where c.provider_status = 'succeeded' and c.period <= s.paid_period;
