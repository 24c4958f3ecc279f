-- Refunds that failed after they had succeeded: what they did is undone, and a seller from whom money was taken is
-- made whole by a transfer of its own.

alter table refunds
    add column undone boolean not null default false,
    add constraint refunds_undone_check check (not undone or status = 'failed'),
    drop constraint refunds_scope_check,
    add constraint refunds_scope_check check (scope in ('amount', 'lines', 'rest', 'dispute'));

alter table seller_transfers add column compensates uuid;
-- They are found by their order and seller; a leg names only the seller's share itself.
create index seller_transfers_compensating on seller_transfers (order_id) where compensates is not null;
create index seller_transfers_compensating_seller on seller_transfers (seller_id) where compensates is not null;

alter table seller_transfer_reversals
    add column kept bigint check (kept between 0 and amount),
    drop constraint seller_transfer_reversals_status_check,
    add constraint seller_transfer_reversals_status_check
        check (status in ('pending', 'failed', 'reversed', 'withheld', 'written_off', 'cancelled'));
