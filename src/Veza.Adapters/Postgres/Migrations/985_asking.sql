-- Events about which a provider has to be asked first wait for that in a queue of their own; how far Stripe's own list
-- of events has been walked is kept, and how many events it held that no webhook had brought.

alter table webhook_events
    drop constraint webhook_events_state_check,
    add constraint webhook_events_state_check check (state in ('received', 'asking', 'processed', 'known', 'ignored',
        'parked', 'quarantined', 'poisoned')),
    add column due_at timestamptz,
    add column source text not null default 'webhook' check (source in ('webhook', 'list')),
    add column replays integer not null default 0,
    add column replayed_by text,
    add constraint webhook_events_asking_check check (state <> 'asking' or due_at is not null);
create index webhook_events_asking on webhook_events (due_at) where state = 'asking';

create table walks (
    name text primary key,
    walked_until timestamptz not null,
    lease_until timestamptz not null,
    events_seen bigint not null default 0,
    gaps_found bigint not null default 0,
    walked_at timestamptz not null
);
