-- One id from the call or the webhook that began it to every step, posting and provider call that followed.

alter table webhook_events add column correlation text;
alter table seller_transfers add column correlation text;
alter table transitions add column correlation text;
alter table ledger_entries add column correlation text;
