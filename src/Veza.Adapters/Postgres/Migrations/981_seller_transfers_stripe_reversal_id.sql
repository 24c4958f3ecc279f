-- Stripe's name for each reversal, and the promise that no Stripe id stands in two rows. Blank and missing ids
-- are left out of the indexes: rows from before ids were kept have none.

alter table seller_transfer_reversals add column stripe_reversal_id text;

create unique index seller_transfers_stripe_transfer_id on seller_transfers (stripe_transfer_id)
    where stripe_transfer_id is not null and stripe_transfer_id <> '';

create unique index seller_transfer_reversals_stripe_reversal_id on seller_transfer_reversals (stripe_reversal_id)
    where stripe_reversal_id is not null and stripe_reversal_id <> '';

do $$
declare
    nameless bigint;
begin
    select count(*) into nameless
    from seller_transfers
    where status = 'completed' and coalesce(stripe_transfer_id, '') = '';
    raise notice '% completed transfers have no Stripe id; veza backfill-transfer-ids can look them up.', nameless;
end
$$;
