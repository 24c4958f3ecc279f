-- The answers of POSTs by their Idempotency-Key, so that a repeat replays them. `resource_id` is chosen here,
-- before the request runs, and becomes the id of what it creates: a request that crashed half-way and is repeated
-- finds what it made the first time instead of making another.
create table idempotent_requests (
    api_key_id uuid not null,
    key text not null,
    fingerprint bytea not null,
    resource_id uuid not null,
    locked_until timestamptz,
    status integer,
    content_type text,
    body text,
    created_at timestamptz not null,
    primary key (api_key_id, key)
);
create index idempotent_requests_by_age on idempotent_requests (created_at);
