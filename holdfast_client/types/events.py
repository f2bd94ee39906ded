"""The events of an account."""

from __future__ import annotations

from datetime import datetime

import msgspec

from holdfast_client.types.economy import Transfer
from holdfast_client.types.inventory import Inventory, LedgerEntry, Order, Stock


class EventData(msgspec.Struct, frozen=True, kw_only=True):
    """What every event contains: the stocks at ``at`` with their rates, and what has changed.

    A ``snapshot``, which begins a stream, has the whole ``inventory``; any other event has its
    ledger ``entry``, with the ``order`` or ``transfer`` that the entry is about, and in ``full``
    the resources that have reached their capacity with it.
    """

    at: datetime
    tick: int
    rates: dict[str, Stock]
    entry: LedgerEntry | None = None
    order: Order | None = None
    transfer: Transfer | None = None
    full: list[str] = []
    inventory: Inventory | None = None


class Event(EventData, frozen=True, kw_only=True):
    """Something that has happened.

    ``name`` is ``snapshot``, ``resource-full`` or the cause of the entry (``order-completed``).
    ``id`` is the entry's sequence number: a stream can resume after it.
    """

    id: int
    name: str
