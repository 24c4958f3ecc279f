-- Since when something waits for what it waits for now. No try moves it on, so alarms count from here. The default is for
-- rows that a host from before this migration writes.

alter table seller_transfers add column waiting_since timestamptz default now();
update seller_transfers t
set waiting_since = case
    when status in ('pending', 'failed') then case when waiting_for = 'hold' then due_at else created_at end
    when status = 'reversal_pending' then coalesce((select r.created_at from seller_transfer_reversals r
        where r.transfer_id = t.id and r.refund_id = t.taking), updated_at)
    when status = 'permanently_failed' then updated_at end;
create index seller_transfers_waiting on seller_transfers (waiting_since)
    where status in ('pending', 'failed', 'reversal_pending', 'permanently_failed');

alter table payouts add column waiting_since timestamptz default now();
update payouts
set waiting_since = case
    when status = 'requested' then created_at
    when status in ('pending', 'in_transit') then due_at
    when status = 'in_doubt' then updated_at end;
create index payouts_waiting on payouts (waiting_since)
    where status in ('requested', 'pending', 'in_transit', 'in_doubt');

-- What the provider last said stands on what waits for it, too.
alter table payouts
    drop constraint payouts_check1,
    add constraint payouts_failure_check check (status <> 'failed' or failure_code is not null);
alter table refunds
    drop constraint refunds_check,
    add constraint refunds_failure_check check (status <> 'failed' or failure_code is not null);
