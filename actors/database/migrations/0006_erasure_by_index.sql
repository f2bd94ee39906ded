-- The erasure of an account finds its rows by their indexes, whatever the planner takes the tables
-- for. Before, it read all the transfers of the world.

create index transfers_lost on transfers (transfer_id) where state = 'lost';

create or replace function erase_account_rows() returns trigger language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    gone uuid[] := array(select account_id from erased);
begin
    delete from orders where account_id = any (gone);
    delete from ledger where account_id = any (gone);
    delete from idempotency where account_id = any (gone);
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
