-- Runs of reconciliation and what they found. What has changed since a time is found through the history, which is only
-- ever appended to.

create index transitions_at on transitions using brin (at) with (pages_per_range = 16);

create table reconciliation_runs (
    id uuid primary key,
    trigger text not null check (trigger in ('schedule', 'api', 'command')),
    actor text not null,
    heal boolean not null,
    since timestamptz not null,
    cut_off timestamptz not null,
    verdict text not null check (verdict in ('running', 'agree', 'differ', 'failed')),
    compared jsonb not null default '{}',
    error text,
    started_at timestamptz not null,
    finished_at timestamptz,
    check ((verdict = 'running') = (finished_at is null))
);

create table reconciliation_findings (
    run_id uuid not null references reconciliation_runs on delete cascade,
    position integer not null,
    reason text not null,
    entity text not null,
    entity_id text not null,
    order_id uuid,
    provider text not null,
    provider_id text,
    ours text not null,
    theirs text not null,
    remedy text not null,
    healed boolean not null default false,
    acknowledged_by text,
    primary key (run_id, position)
);

-- What an operator has settled otherwise. It is told from what would look alike by all that was found: another amount
-- there is another difference.
create table reconciliation_acknowledgements (
    reason text not null,
    entity_id text not null,
    provider_id text not null,
    ours text not null,
    theirs text not null,
    actor text not null,
    note text not null,
    at timestamptz not null,
    primary key (reason, entity_id, provider_id, ours, theirs)
);
