"""Replays a ledger and compares its sums with the inventory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.demo.promises import BrokenPromise

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from holdfast_client.types import Inventory, LedgerEntry, Stock

MS_PER_HOUR = 3_600_000


def replay(entries: Sequence[LedgerEntry]) -> dict[str, int]:
    """Add up the entries; return the balance of every asset that they name.

    Raises:
        BrokenPromise: the sequence has a gap, or a balance is not the sum of its changes so far.
    """
    balances: dict[str, int] = {}
    for number, entry in enumerate(entries, start=1):
        if entry.seq != number:
            raise BrokenPromise(f"the ledger has entry {entry.seq} where {number} was expected")
        for asset, change in entry.changes.items():
            balances[asset] = balances.get(asset, 0) + change.delta
            if balances[asset] != change.balance:
                raise BrokenPromise(
                    f"entry {number} of the ledger gives {asset} as {change.balance}, its "
                    f"changes add up to {balances[asset]}"
                )
    return balances


def check_replay(entries: Sequence[LedgerEntry], inventory: Inventory) -> None:
    """Check that a ledger replays to an inventory that was read after it.

    Levels and units must be equal. A stock may have grown since the last entry, at a constant rate
    (anything that changes a rate is an entry): the difference must be that growth, rounded down
    from a fraction that the ledger's whole units leave open.

    Raises:
        BrokenPromise: it does not.
    """
    balances = replay(entries)
    owned = {asset: number for asset, number in inventory.owned().items() if number}
    stocks = inventory.resources
    told = {asset: number for asset, number in balances.items() if number and asset not in stocks}
    if told != owned:
        raise BrokenPromise(f"the ledger replays to {told}, the inventory has {owned}")
    since = inventory.at - entries[-1].at
    for name, stock in stocks.items():
        possible = grown(balances.get(name, 0), stock, since)
        if stock.amount not in possible:
            raise BrokenPromise(
                f"the ledger replays to {possible.start} {name}, the inventory has {stock.amount}"
            )


def grown(balance: int, stock: Stock, since: timedelta) -> range:
    """Return the amounts that ``balance`` can have grown to: one or two neighbouring integers."""
    elapsed_ms = round(since.total_seconds() * 1000)
    grown_by, rest = divmod(stock.per_hour * elapsed_ms, MS_PER_HOUR)
    low = balance + grown_by
    # Any fraction of a unit may have been there before; two fractions may make a whole unit.
    high = low + 1 if rest else low
    ceiling = high if stock.capacity is None else max(balance, stock.capacity)
    return range(max(0, min(low, ceiling)), max(0, min(high, ceiling)) + 1)
