-- A fourth thing to do: look up whether a refusal means that it has happened before. What is absent then is sent under a
-- new key, because Stripe repeats its refusal under the old one.

alter table seller_transfers
    drop constraint seller_transfers_move_check,
    add constraint seller_transfers_move_check check (move in ('send', 'look_up', 'confirm', 'prove'));

alter table payouts
    drop constraint payouts_move_check,
    add constraint payouts_move_check check (move in ('send', 'look_up', 'confirm', 'prove'));
