-- An entry says which stocks reached their capacity with it. Programs before this migration
-- cannot read such an entry: they must refuse the database.

comment on column ledger.changes is
    'asset: [delta, balance], or [delta, balance, 1] if that filled the stock';
