-- The rules in whose names a transfer tells what it carries: it may still be on its way when they
-- change. What is on its way now was sent under the last ones at the latest.

alter table transfers
    add column ruleset text not null default '';

update transfers
set ruleset = coalesce((select version from ruleset_history order by seq desc limit 1), '')
where state = 'sent';
