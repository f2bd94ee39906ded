"""Inventories, orders and the ledger."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Stock(msgspec.Struct, frozen=True):
    """One resource; ``full_at`` is None when it is full or its rate is not positive.

    ``held`` waits outside until there is room, and is not part of ``amount``.
    """

    amount: int
    per_hour: int
    capacity: int | None
    full_at: datetime | None
    held: int = 0


class Balance(msgspec.Struct, frozen=True):
    """One balance; ``factor`` scales what draws on it, and is 1.0 if there is enough."""

    produced: int
    used: int
    factor: float


class Order(msgspec.Struct, frozen=True):
    """One order; a building or technology has ``level``, a unit has ``count``.

    ``state`` is ``queued``, ``running``, ``completed`` or ``cancelled``.
    """

    id: str
    asset: str
    kind: str
    cost: dict[str, int]
    state: str
    placed_at: datetime
    starts_at: datetime | None
    finishes_at: datetime | None
    level: int | None = None
    count: int | None = None


class OrderList(msgspec.Struct, frozen=True):
    """The pending orders, first to finish first."""

    orders: list[Order]


class Inventory(msgspec.Struct, frozen=True):
    """Everything an account owns at one moment of world time, ``at``."""

    account_id: str
    version: int
    at: datetime
    tick: int
    resources: dict[str, Stock]
    balances: dict[str, Balance]
    buildings: dict[str, int]
    technologies: dict[str, int]
    units: dict[str, int]
    orders: list[Order]

    def owned(self) -> dict[str, int]:
        """Return the level or number of every building, technology and unit."""
        return {**self.buildings, **self.technologies, **self.units}


class CancelledOrder(msgspec.Struct, frozen=True):
    """A cancelled order and its refund."""

    order: Order
    refund: dict[str, int]


class Change(msgspec.Struct, frozen=True):
    """What a ledger entry did to one asset, and how much there was after it."""

    delta: int
    balance: int


class LedgerEntry(msgspec.Struct, frozen=True):
    """One line of the ledger; ``seq`` counts from 1 without a gap."""

    seq: int
    at: datetime
    cause: str
    changes: dict[str, Change]
    order_id: str | None = None
    transfer_id: str | None = None


class LedgerPage(msgspec.Struct, frozen=True):
    """A page of the ledger; ``next`` is the ``after`` of the next page, None at the end."""

    entries: list[LedgerEntry]
    next: int | None
