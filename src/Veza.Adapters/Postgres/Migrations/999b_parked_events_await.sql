-- What a parked event waits for: the provider's name for the payment that it takes from. The event itself is about a
-- refund or a dispute, whose name will never be ours.
alter table webhook_events add column awaits text;
