"""Compares the database of a run with the answers that its clients received.

Every order that was answered with 2xx is there once, nothing else is there, payments add up to
the unit, and every ledger has no gap and ends at its inventory's state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

GOLD_AT_START = 1_000_000_000
PRICE = 3
EXAMPLES = 3

_KEYS = "select account_id::text as account, key from idempotency"

_ACCOUNTS = """
with placed as (
    select account_id, count(*) as orders, count(distinct seq) as sequences from orders
    group by account_id
), entered as (
    select account_id, count(*) as entries, max(seq) as last_seq,
           count(*) filter (where cause = 'order-placed') as order_entries,
           count(distinct order_id) as entered_orders,
           coalesce(sum((changes -> 'gold' ->> 0)::bigint)
                    filter (where cause = 'order-placed'), 0)::bigint as gold_paid
    from ledger group by account_id
)
select account_id::text as account, coalesce(orders, 0) as orders,
       coalesce(sequences, 0) as sequences, entries, last_seq, order_entries, entered_orders,
       gold_paid, ledger_seq, (state -> 'amounts' -> 'gold' ->> 0)::bigint as gold,
       (state ->> 'order_seq')::bigint as order_seq
from inventories left join placed using (account_id) left join entered using (account_id)
"""


@dataclass(frozen=True, slots=True)
class Account:
    """One account as it is in the tables after a run."""

    account: str
    orders: int
    sequences: int
    entries: int
    last_seq: int
    order_entries: int
    entered_orders: int
    gold_paid: int
    ledger_seq: int
    gold: int
    order_seq: int


Key = tuple[str, str]
"""An account and an idempotency key."""


def read_answered(files: Iterable[Path]) -> list[Key]:
    """Read the generator's record of answered orders."""
    answered: list[Key] = []
    for file in files:
        for line in file.read_text(encoding="ascii").splitlines():
            account, _, key = line.partition(" ")
            answered.append((account, key))
    return answered


async def recount(dsn: str, answered: list[Key]) -> list[str]:
    """Count; return the faults, none if all is right. For asyncio."""
    connection: Any = await asyncpg.connect(dsn)
    try:
        keys = [(row["account"], row["key"]) for row in await connection.fetch(_KEYS)]
        accounts = [Account(**dict(row)) for row in await connection.fetch(_ACCOUNTS)]
    finally:
        await connection.close()
    return [*key_faults(answered, keys), *account_faults(answered, accounts)]


def key_faults(answered: list[Key], stored: list[Key]) -> list[str]:
    """Compare the answered keys with the stored ones."""
    there, told = Counter(stored), Counter(answered)
    faults = _named("answered and not there", told.keys() - there.keys())
    faults += _named("there and not answered", there.keys() - told.keys())
    faults += _named("answered twice", (key for key, count in told.items() if count > 1))
    return faults


def account_faults(answered: list[Key], accounts: Iterable[Account]) -> list[str]:
    """Check each account's sums against its answered orders."""
    expected = Counter(account for account, _ in answered)
    faults: list[str] = []
    seen: set[str] = set()
    for account in accounts:
        seen.add(account.account)
        orders = expected[account.account]
        wanted: Mapping[str, tuple[int, int]] = {
            "orders": (account.orders, orders),
            "orders by sequence": (account.sequences, orders),
            "last order": (account.order_seq, orders),
            "ledger entries of orders": (account.order_entries, orders),
            "orders in the ledger": (account.entered_orders, orders),
            "gold paid in the ledger": (account.gold_paid, -PRICE * orders),
            "gold": (account.gold, GOLD_AT_START - PRICE * orders),
            "ledger entries without a gap": (account.entries, account.last_seq),
            "the inventory's ledger entry": (account.ledger_seq, account.last_seq),
        }
        faults += [
            f"{account.account}: {what}: {found}, expected {right}"
            for what, (found, right) in wanted.items()
            if found != right
        ]
    return faults + _named("without an inventory", expected.keys() - seen)


def _named(what: str, which: Iterable[object]) -> list[str]:
    found = sorted(map(str, which))
    return [f"{len(found)} {what}: {', '.join(found[:EXAMPLES])}"] if found else []
