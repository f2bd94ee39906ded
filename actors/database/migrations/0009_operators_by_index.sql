-- The server knows by heart which accounts are operators', and reads them again with every change.

create index accounts_operators on accounts (account_id) where role = 'admin';
