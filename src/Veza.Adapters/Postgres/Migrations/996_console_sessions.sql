-- The console on several hosts: the keys of its cookies and forms, and who is signed in.

-- ASP.NET's data protection keys, as it writes them. Nobody can sign in with them: a session is what is in the table below.
create table data_protection_keys (
    name text primary key,
    xml text not null,
    created_at timestamptz not null
);

-- A browser's cookie holds 256 random bits; only their hash is kept.
create table console_sessions (
    hash bytea primary key,
    key_id uuid not null references api_keys,
    started_at timestamptz not null,
    expires_at timestamptz not null
);
create index console_sessions_expiry on console_sessions (expires_at);
