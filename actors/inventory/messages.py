"""The requests to an Inventory: a closed union, sent on topic ``task`` with the account as key.

The answers are the types of `actors.inventory.views`; refusals are the errors of
`actors.inventory.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from actors.inventory.views import TransferRecord


class GetInventory(msgspec.Struct, frozen=True, gc=False):
    """Answers an `InventoryView` of this moment in world time."""

    account_id: str


class PlaceOrder(msgspec.Struct, frozen=True, gc=False):
    """Order ``count`` units, or the next level of a building or technology (count None).

    Answers `Placed` once the order is durable. ``fingerprint`` is a digest of the request's
    body: the same key with the same fingerprint returns the first answer again.
    """

    account_id: str
    asset: str
    count: int | None
    idempotency_key: str
    fingerprint: bytes


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    """Answers `Cancelled`, or raises `UnknownOrder` or `OrderNotPending`."""

    account_id: str
    order_id: str


class GetOrder(msgspec.Struct, frozen=True, gc=False):
    """Answers the `OrderView` of any order of the account, pending or not."""

    account_id: str
    order_id: str


class ListOrders(msgspec.Struct, frozen=True, gc=False):
    """Answers the pending orders, first to finish first, as a tuple of `OrderView`."""

    account_id: str


class GetLedger(msgspec.Struct, frozen=True, gc=False):
    """Answers a `LedgerPage`: up to ``limit`` entries with a sequence above ``after``."""

    account_id: str
    after: int
    limit: int


class GetEvents(msgspec.Struct, frozen=True, gc=False):
    """Answers an `EventPage`: up to ``limit`` entries with a sequence above ``after``.

    With ``after`` None it is the inventory alone, as the starting point for following.
    """

    account_id: str
    after: int | None
    limit: int


class GetForecast(msgspec.Struct, frozen=True, gc=False):
    """Answers the `InventoryView` ``seconds`` from now if nothing more is ordered."""

    account_id: str
    seconds: int


class GetQuote(msgspec.Struct, frozen=True, gc=False):
    """Answers a `Quote` for an order as if placed now."""

    account_id: str
    asset: str
    count: int | None


class SendTransfer(msgspec.Struct, frozen=True, gc=False):
    """Send resources to another account; answers `Sent` once they have arrived there.

    Both accounts' names are kept with the transfer, as shown to both of them. ``receiver_id`` is
    None if nobody has the receiver's name, or nobody has it any more: then the key can yield only
    the first answer.
    """

    account_id: str
    sender_name: str
    receiver_id: str | None
    receiver_name: str
    resources: Mapping[str, int]
    note: str
    idempotency_key: str
    fingerprint: bytes


class GetTransfer(msgspec.Struct, frozen=True, gc=False):
    """Answers the `TransferRecord` of a transfer that the account sent or received."""

    account_id: str
    transfer_id: str


class ListTransfers(msgspec.Struct, frozen=True, gc=False):
    """Answers a `TransferPage`: up to ``limit`` transfers sent or received, newest first.

    They are those older than the transfer ``before``, or the latest ones if that is None.
    """

    account_id: str
    limit: int
    before: str | None = None


class ReceiveTransfer(msgspec.Struct, frozen=True, gc=False):
    """Take in a transfer sent to this account; from the courier. Answers its record."""

    account_id: str
    transfer: TransferRecord


class TakeBackTransfer(msgspec.Struct, frozen=True, gc=False):
    """Take back what the receiver could not take in; from the courier. Answers its record.

    If the receiver's account was erased (``receiver_gone``), the record keeps neither its name
    nor the note.
    """

    account_id: str
    transfer: TransferRecord
    receiver_gone: bool = False


class Grant(msgspec.Struct, frozen=True, gc=False):
    """An operator's change of assets, all or none, with a reason; answers `Granted`."""

    account_id: str
    changes: Mapping[str, int]
    reason: str
    operator: str
    idempotency_key: str
    fingerprint: bytes


class Freeze(msgspec.Struct, frozen=True, gc=False):
    """Freeze the account's world, because the account is suspended; answers None."""

    account_id: str


class Thaw(msgspec.Struct, frozen=True, gc=False):
    """Let the account's world resume from where it was frozen; answers None."""

    account_id: str


class Settle(msgspec.Struct, frozen=True, gc=False):
    """Apply what has come due; answers None. Sent by the inventories' own manager."""

    account_id: str


class Forget(msgspec.Struct, frozen=True, gc=False):
    """Drop the cached state (the account was erased or changed elsewhere); answers None."""

    account_id: str


WorkMessage: TypeAlias = (
    GetInventory
    | GetForecast
    | GetQuote
    | PlaceOrder
    | CancelOrder
    | GetOrder
    | ListOrders
    | GetLedger
    | GetEvents
    | SendTransfer
    | GetTransfer
    | ListTransfers
    | ReceiveTransfer
    | TakeBackTransfer
    | Grant
    | Freeze
    | Thaw
    | Settle
)
"""The messages carried out on an inventory's state."""

InventoryMessage: TypeAlias = WorkMessage | Forget


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Bring a transfer in flight to its receiver; answers `Sent`.

    Sent on topic ``task`` with the key ``transfers``, to the courier.
    """

    transfer: TransferRecord
    replayed: bool = False
