"""Inventories, orders and the ledger: amounts are whole units, times are world time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.http.types.ids import Id
from app.http.types.times import Time

INTEGER_MAX = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

LEDGER_PAGE_MAX = 500
"""How many ledger entries may be asked for at once."""

ORDER_STATES = ("queued", "running", "completed", "cancelled")
"""The states of an order."""

AssetName = Annotated[str, Meta(min_length=1, max_length=200)]

# Python's `$` also matches before a line break at the end.
Cursor = Annotated[
    str,
    Meta(pattern=r"^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?(?!\n)$"),
]
"""In a list that is newest first, the id after which a page begins; empty: the beginning."""


class PlaceOrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to order: ``count`` of a unit, or the next level of a building or technology."""

    asset: AssetName
    count: Annotated[int, Meta(ge=1, le=INTEGER_MAX)] | None = None


class LedgerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which entries: those after a sequence number, at most ``limit``."""

    after: Annotated[int, Meta(ge=0, le=INTEGER_MAX)] = 0
    limit: Annotated[int, Meta(ge=1, le=LEDGER_PAGE_MAX)] = 100


class Stock(msgspec.Struct, frozen=True, gc=False):
    """One resource; ``full_at`` is null when it is full or its rate is not positive.

    ``held`` waits outside until there is room, and is not part of ``amount``; omitted if nothing
    waits.
    """

    amount: int
    per_hour: int
    capacity: int | None
    full_at: Time | None
    held: int | UnsetType = UNSET


class Balance(msgspec.Struct, frozen=True, gc=False):
    """One balance; ``factor`` scales what draws on it, and is 1.0 if there is enough."""

    produced: int
    used: int
    factor: float


class OrderDetails(msgspec.Struct, frozen=True, gc=False):
    """One order; a building or technology has ``level``, a unit has ``count``."""

    id: Id
    asset: str
    kind: Annotated[str, Meta(extra_json_schema={"enum": ["building", "technology", "unit"]})]
    cost: Mapping[str, int]
    state: Annotated[str, Meta(extra_json_schema={"enum": list(ORDER_STATES)})]
    placed_at: Time
    starts_at: Time | None
    finishes_at: Time | None
    level: int | UnsetType = UNSET
    count: int | UnsetType = UNSET


class InventoryDetails(msgspec.Struct, frozen=True, gc=False):
    """Everything an account owns at one moment of world time."""

    account_id: Id
    version: int
    at: Time
    tick: int
    resources: dict[str, Stock]
    balances: dict[str, Balance]
    buildings: Mapping[str, int]
    technologies: Mapping[str, int]
    units: Mapping[str, int]
    orders: list[OrderDetails]


class OrderList(msgspec.Struct, frozen=True, gc=False):
    """The pending orders, first to finish first."""

    orders: list[OrderDetails]


class CancelledOrder(msgspec.Struct, frozen=True, gc=False):
    """A cancelled order and its refund."""

    order: OrderDetails
    refund: Mapping[str, int]


class Change(msgspec.Struct, frozen=True, gc=False):
    """What a ledger entry did to one asset, and the balance after it."""

    delta: int
    balance: int


class LedgerEntryDetails(msgspec.Struct, frozen=True, gc=False):
    """One line of the ledger; ``seq`` counts from 1 without a gap."""

    seq: int
    at: Time
    cause: str
    changes: dict[str, Change]
    order_id: Id | UnsetType = UNSET
    transfer_id: Id | UnsetType = UNSET


class LedgerPageDetails(msgspec.Struct, frozen=True, gc=False):
    """A page of the ledger; ``next`` is the ``after`` of the next page, null at the end."""

    entries: list[LedgerEntryDetails]
    next: int | None
