"""The statements of the Python peers, for one row and for many at a time."""

from __future__ import annotations

from typing import Final

KEY: Final = "select fingerprint, response from idempotency where account_id = $1 and key = $2"
LOCK: Final = "select version, state from inventories where account_id = $1 for update"
ADD_ORDER: Final = """
insert into orders (order_id, account_id, seq, asset, kind, queue, count, cost, refund,
                    duration_ms, state, placed_ms, version)
values ($1, $2, $3, $4, 'unit', $5, $6, $7, '[1,1]', $8, 'queued', $9, 1)
"""
ADD_ENTRY: Final = """
insert into ledger (account_id, seq, at_ms, cause, order_id, changes)
values ($1, $2, $3, 'order-placed', $4, $5)
"""
ADD_KEY: Final = """
insert into idempotency (account_id, key, fingerprint, response, at_ms)
values ($1, $2, $3, $4, $5)
"""
STORE: Final = """
update inventories set version = version + 1, at_ms = $2, ledger_seq = $3, state = $4
where account_id = $1
"""

INVENTORY: Final = "select version, state from inventories where account_id = $1"
PENDING: Final = """
select order_id, asset, kind, cost, state, placed_ms, starts_ms, finishes_ms, count from orders
where account_id = $1 and state in ('queued', 'running') order by seq
"""

KEYS: Final = """
select account_id, key, fingerprint, response from idempotency
join unnest($1::uuid[], $2::text[]) as wanted(account_id, key) using (account_id, key)
"""
LOCK_ALL: Final = """
select account_id, version, state from inventories
where account_id = any($1::uuid[]) order by account_id for update
"""
ADD_ORDERS: Final = """
insert into orders (order_id, account_id, seq, asset, kind, queue, count, cost, refund,
                    duration_ms, state, placed_ms, version)
select order_id, account_id, seq, asset, 'unit', queue, count, cost::jsonb, '[1,1]',
       duration_ms, 'queued', placed_ms, 1
from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
            $7::text[], $8::bigint[], $9::bigint[])
     as new(order_id, account_id, seq, asset, queue, count, cost, duration_ms, placed_ms)
"""
ADD_ENTRIES: Final = """
insert into ledger (account_id, seq, at_ms, cause, order_id, changes)
select account_id, seq, at_ms, 'order-placed', order_id, changes::jsonb
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[], $5::text[])
     as new(account_id, seq, at_ms, order_id, changes)
"""
ADD_KEYS: Final = """
insert into idempotency (account_id, key, fingerprint, response, at_ms)
select account_id, key, fingerprint, response::jsonb, at_ms
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[], $5::bigint[])
     as new(account_id, key, fingerprint, response, at_ms)
"""
STORE_ALL: Final = """
update inventories as t set version = t.version + new.steps, at_ms = new.at_ms,
       ledger_seq = new.ledger_seq, state = new.state::jsonb
from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])
     as new(account_id, steps, at_ms, ledger_seq, state)
where t.account_id = new.account_id
"""
