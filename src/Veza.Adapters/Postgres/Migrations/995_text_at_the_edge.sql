-- A webhook that is not UTF-8 is kept to the byte beside its text, in which what cannot be read is replaced.
alter table webhook_events add column body_bytes bytea;

-- Where the buyer comes back to, as the payment was made with it: '' where it was made without, null where nobody
-- has written it down.
alter table payments add column return_url text;
