-- An erasure that has deleted what an account owned, and found nothing written since, says so for
-- its transaction (holdfast.settled: the account's id). To look for more would take as long as it
-- was much, for the rows are only marked as deleted until the commit, and the server, which may want
-- to write to the account, waits.

create or replace function erase_account_rows() returns trigger language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    gone uuid[] := array(select account_id from erased);
    settled uuid := nullif(current_setting('holdfast.settled', true), '');
    owning uuid[] := array_remove(gone, settled);
begin
    delete from orders where account_id = any (owning);
    delete from ledger where account_id = any (owning);
    delete from idempotency where account_id = any (owning);
    -- The other side keeps its record, without the name.
    update transfers set sender_name = '', note = ''
    where sender = any (gone) and (sender_name <> '' or note <> '');
    update transfers set receiver_name = '', note = ''
    where receiver = any (gone) and (receiver_name <> '' or note <> '');
    delete from transfers
    where sender = any (gone) and state <> 'sent'
      and not exists (select from accounts where account_id = receiver);
    delete from transfers
    where receiver = any (gone) and state <> 'sent'
      and not exists (select from accounts where account_id = sender);
    -- Still on its way when the second of its two sides was erased.
    delete from transfers
    where state = 'lost'
      and not exists (select from accounts where account_id in (sender, receiver));
    return null;
end
$$;
