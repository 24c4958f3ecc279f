-- A dispute is a claim on its order. What it took is a refund each time it took something; the platform bears the rest.
-- A decided dispute is still asked about for a while, so its next time no longer means that it is open.
alter table disputes
    add column since timestamptz,
    add column refund_ids uuid[] not null default '{}',
    add column refund_amounts bigint[] not null default '{}',
    add column rounds integer not null default 0;
update disputes set since = updated_at;
alter table disputes alter column since set not null, alter column since set default now();

update disputes d
set refund_ids = array[r.id], refund_amounts = array[r.amount], rounds = 1
from refunds r where d.status = 'lost' and r.id = d.refund_id;
update disputes set share_sellers = '{}', share_amounts = '{}' where status <> 'open';

do $$
declare rule record;
begin
    for rule in
        select conname from pg_constraint
        where conrelid = 'disputes'::regclass and contype = 'c'
            and (pg_get_constraintdef(oid) like '%due_at%' or pg_get_constraintdef(oid) like '%refund_id%')
    loop
        execute format('alter table disputes drop constraint %I', rule.conname);
    end loop;
end $$;
alter table disputes drop column refund_id;
alter table disputes add constraint disputes_open_is_asked_about check (status <> 'open' or due_at is not null);
alter table disputes add constraint disputes_refunds_have_amounts
    check (cardinality(refund_ids) = cardinality(refund_amounts));

drop index disputes_due;
create index disputes_due on disputes (due_at) where due_at is not null;

-- The bank withdraws when a dispute opens (an inquiry withdraws nothing); until now that was posted only when it was lost.
insert into ledger_entries (order_id, source, source_id, account, currency, amount, at)
select d.order_id, 'dispute', d.id, posting.account, d.currency, posting.amount, now()
from disputes d
cross join lateral (values ('platform_cash', -d.amount), ('disputed_funds', d.amount)) as posting (account, amount)
where d.status = 'open' and d.stage <> 'pre_dispute';
