"""What an Inventory is asked: a closed union, sent on topic ``task`` with the account as key.

The answers are the types of `actors.inventory.views`; refusals are the errors of
`actors.inventory.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.views import TransferRecord


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
class GetEvents:
    """Answers an `EventPage`: up to ``limit`` entries with a sequence above ``after``.

    With ``after`` None it is the inventory alone, as the beginning of what follows.
    """

    account_id: str
    after: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class GetForecast:
    """Answers the `InventoryView` of ``seconds`` from now if nothing more is ordered."""

    account_id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class GetQuote:
    """Answers a `Quote` of an order that would be placed now."""

    account_id: str
    asset: str
    count: int | None


@dataclass(frozen=True, slots=True)
class SendTransfer:
    """Send resources to another account; answers `Sent` once they have arrived there.

    Both accounts' names are kept with the transfer, as they are shown to the two of them.
    """

    account_id: str
    sender_name: str
    receiver_id: str
    receiver_name: str
    resources: Mapping[str, int]
    note: str
    idempotency_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class ListTransfers:
    """Answers the latest ``limit`` transfers sent or received, newest first."""

    account_id: str
    limit: int


@dataclass(frozen=True, slots=True)
class ReceiveTransfer:
    """Take in a transfer that was sent to this account; from the courier. Answers its state."""

    account_id: str
    transfer: TransferRecord


@dataclass(frozen=True, slots=True)
class TakeBackTransfer:
    """Take back what the receiver could not take in; from the courier. Answers its state."""

    account_id: str
    transfer: TransferRecord


@dataclass(frozen=True, slots=True)
class Grant:
    """The operator's hand: change assets, all or none, with a reason; answers `Granted`."""

    account_id: str
    changes: Mapping[str, int]
    reason: str
    operator: str
    idempotency_key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Freeze:
    """Let the account's world stand still, because it is suspended; answers None."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let the account's world go on from where it stood still; answers None."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Apply what has come due; answers None. Sent by the inventories' own manager."""

    account_id: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop the cached state (the account was erased or changed elsewhere); answers None."""

    account_id: str


InventoryMessage: TypeAlias = (
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
    | ListTransfers
    | ReceiveTransfer
    | TakeBackTransfer
    | Grant
    | Freeze
    | Thaw
    | Settle
    | Forget
)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Bring a transfer that is on its way to its receiver; answers `Sent`.

    Sent on topic ``task`` with the key ``transfers``, to the courier.
    """

    transfer: TransferRecord
    replayed: bool = False
