-- What others are told of: every state change in the order in which it can be read without gaps, and webhooks of it to
-- the marketplace's own systems, written in the transaction of the change.

-- A later number may be committed first; a reader goes no further than the oldest transaction that is still open.
alter table transitions add column xact xid8;
alter table transitions alter column xact set default pg_current_xact_id();

create table webhook_endpoints (
    id uuid primary key,
    url text not null,
    description text,
    -- Such as order.completed, refund.*, or * for everything.
    event_types text[] not null,
    secret bytea not null,
    -- After a rotation the one before is signed with as well, until then.
    previous_secret bytea,
    previous_until timestamptz,
    enabled boolean not null default true,
    disabled_reason text,
    failing_since timestamptz,
    changed_by text not null,
    version integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

create table webhook_messages (
    seq bigint primary key,
    type text not null,
    entity_id uuid not null,
    body text not null,
    created_at timestamptz not null
);
create index webhook_messages_by_age on webhook_messages (created_at);

create table webhook_deliveries (
    endpoint_id uuid not null references webhook_endpoints on delete cascade,
    seq bigint not null,
    state text not null default 'pending' check (state in ('pending', 'delivered', 'failed')),
    attempts integer not null default 0,
    due_at timestamptz,
    delivered_at timestamptz,
    primary key (endpoint_id, seq),
    check ((state = 'pending') = (due_at is not null))
);
create index webhook_deliveries_by_message on webhook_deliveries (seq);
create index webhook_deliveries_due on webhook_deliveries (due_at) where state = 'pending';

create table webhook_attempts (
    endpoint_id uuid not null,
    seq bigint not null,
    attempt integer not null,
    at timestamptz not null,
    took_ms integer not null,
    http_status integer,
    error text,
    primary key (endpoint_id, seq, attempt),
    foreign key (endpoint_id, seq) references webhook_deliveries on delete cascade
);
