-- The server caches which accounts are operators', and rereads them after every change.

create index accounts_operators on accounts (account_id) where role = 'admin';
