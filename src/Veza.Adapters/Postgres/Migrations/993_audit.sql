-- Who did what: every call by which an operator acts, and every key made or revoked. An entry is written before its action
-- is taken, and what came of it after, so an action whose host died is here too. Nothing is ever changed or deleted.

create table audit_log (
    id uuid primary key,
    actor text not null,
    role text not null check (role in ('read', 'service', 'operator', 'cli')),
    via text not null check (via in ('api', 'console', 'cli')),
    action text not null,
    object text not null,
    object_id text,
    note text,
    request_id text,
    at timestamptz not null
);
create index audit_log_by_object on audit_log (object_id, id);
create index audit_log_by_actor on audit_log (actor, id);

create table audit_outcomes (
    audit_id uuid primary key references audit_log,
    outcome text not null check (outcome in ('done', 'refused', 'failed')),
    -- Of what the action has made: its id is not known before.
    object_id text,
    old jsonb,
    new jsonb,
    at timestamptz not null
);

-- Where a seller's money goes and what the platform takes, each time somebody has said it.
create table seller_changes (
    seq bigint generated always as identity primary key,
    seller_id text not null,
    from_account text,
    to_account text not null,
    from_fee_bps integer,
    to_fee_bps integer,
    actor text not null,
    correlation text,
    at timestamptz not null
);
create index seller_changes_by_seller on seller_changes (seller_id, seq);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'The table % is append-only.', tg_table_name;
end
$$;
create trigger audit_log_append_only before update or delete or truncate on audit_log
    for each statement execute function refuse_change();
create trigger audit_outcomes_append_only before update or delete or truncate on audit_outcomes
    for each statement execute function refuse_change();
create trigger seller_changes_append_only before update or delete or truncate on seller_changes
    for each statement execute function refuse_change();
