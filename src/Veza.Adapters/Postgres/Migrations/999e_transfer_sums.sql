-- The sums of a transfer, computed in one place as the domain computes them (a test compares the two). A function and not a
-- view: PostgreSQL inlines it where it is called, so that each transfer's claims are read by the index on its id.

create function transfer_sums(t seller_transfers)
returns table (
    -- Taken off before it was sent.
    withheld bigint,
    -- What left for the seller, with or without a Stripe id.
    sent bigint,
    -- Taken back at Stripe by whomever: by settled claims, by the one under way and by none.
    reversed bigint,
    -- What is still to be taken back, as long as Veza goes on trying and the seller's balance holds it.
    pending bigint,
    -- What is still to be taken back and cannot be: the seller's balance is empty, or Veza has given up.
    debt bigint)
language sql stable as $$
    select s.withheld,
        case when t.status in ('completed', 'reversed', 'reversal_pending') or t.taking is not null
            or nullif(t.stripe_transfer_id, '') is not null then t.amount - s.withheld else 0 end,
        s.reversed + t.foreign_amount,
        case when d.is_debt then 0 else s.open end,
        case when d.is_debt then s.open else 0 end
    from (
        select
            coalesce(sum(r.amount) filter (where r.status = 'withheld'), 0)::bigint as withheld,
            coalesce(sum(case r.status when 'reversed' then r.amount else r.adopted_amount end)
                filter (where r.status in ('reversed', 'pending', 'failed')), 0)::bigint as reversed,
            coalesce(sum(greatest(coalesce(r.kept, r.amount) - r.adopted_amount, 0))
                filter (where r.status in ('pending', 'failed')), 0)::bigint as open
        from seller_transfer_reversals r
        where r.transfer_id = t.id) s
    cross join lateral (
        select t.status = 'permanently_failed' or (t.status = 'reversal_pending'
            and (t.waiting_for in ('seller_funds', 'platform_funds') or (t.waiting_for = 'in_flight'
                and coalesce(t.trouble_cause in ('seller_funds', 'platform_funds'), false)))) as is_debt) d
$$;
