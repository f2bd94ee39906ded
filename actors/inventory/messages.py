"""What an Inventory is asked: a closed union, sent on topic ``task`` with the account as key.

The answers are the types of `actors.inventory.views`; refusals are the errors of
`actors.inventory.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class GetInventory:
    """Answers an `InventoryView` of this moment in world time."""

    account_id: str


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Order ``count`` units, or the next level of a building or technology (count None).

    Answers `Placed` once the order is durable. ``fingerprint`` is a digest of the request's
    body: the same key with the same fingerprint gives the first answer again.
    """

    account_id: str
    asset: str
    count: int | None
    idempotency_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Answers `Cancelled`, or raises `UnknownOrder` or `OrderNotPending`."""

    account_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class GetOrder:
    """Answers the `OrderView` of any order of the account, pending or not."""

    account_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class ListOrders:
    """Answers the pending orders, first to finish first, as a tuple of `OrderView`."""

    account_id: str


@dataclass(frozen=True, slots=True)
class GetLedger:
    """Answers a `LedgerPage`: up to ``limit`` entries with a sequence above ``after``."""

    account_id: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Apply what has come due; answers None. Sent by the inventories' own manager."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the cached state (the account was erased or changed elsewhere); answers None."""

    account_id: str


InventoryMessage: TypeAlias = (
    GetInventory | PlaceOrder | CancelOrder | GetOrder | ListOrders | GetLedger | Settle | Forget
)
