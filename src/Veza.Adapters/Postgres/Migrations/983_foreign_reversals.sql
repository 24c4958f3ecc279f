-- What somebody reversed at Stripe without Veza, in the dashboard for instance, and no refund has asked for yet: the
-- seller's credit against claims to come. It is posted when it is seen.

alter table seller_transfers
    add column foreign_amount bigint not null default 0 check (foreign_amount >= 0);

-- Until now what a claim had adopted was posted with the claim. For claims under way it is posted here instead.
insert into ledger_entries (order_id, source, source_id, account, currency, amount, at)
select t.order_id, 'transfer', t.id, side.account, t.currency, side.sign * t.adopted, now()
from seller_transfers t
cross join lateral (values ('platform_cash', 1), ('seller_debt:' || t.seller_id, -1)) as side (account, sign)
where t.adopted > 0 and t.status in ('reversal_pending', 'permanently_failed');
