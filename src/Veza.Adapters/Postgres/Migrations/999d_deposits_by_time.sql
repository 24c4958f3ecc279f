-- Operators read deposits newest first.
create index deposits_by_time on deposits (created_at desc, id desc);
