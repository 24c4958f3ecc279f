-- Webhooks that a person has closed; messages that wait for their endpoint to be switched on.

alter table webhook_events
    drop constraint webhook_events_state_check,
    add constraint webhook_events_state_check check (state in ('received', 'asking', 'processed', 'known', 'ignored',
        'parked', 'quarantined', 'poisoned', 'dismissed')),
    -- Of the last time; the audit log has all of them.
    add column dismissed_by text,
    add column dismissed_note text,
    add column dismissed_at timestamptz,
    add constraint webhook_events_dismissed_check check (state <> 'dismissed' or dismissed_note is not null);

alter table webhook_deliveries
    drop constraint webhook_deliveries_state_check,
    add constraint webhook_deliveries_state_check check (state in ('pending', 'delivered', 'failed', 'held'));
create index webhook_deliveries_held on webhook_deliveries (endpoint_id, seq) where state = 'held';
