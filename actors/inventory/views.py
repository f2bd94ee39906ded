"""An Inventory's answers: amounts are whole units, times are world time in ms."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from actors.inventory.memo import Memo


class StockView(msgspec.Struct, frozen=True, gc=False):
    """One resource: how much there is, how fast it changes, and when it is full.

    ``held`` waits outside for lack of room, and is not part of ``amount``.
    """

    amount: int
    per_hour: int
    capacity: int | None
    full_at_ms: int | None
    held: int = 0


class BalanceView(msgspec.Struct, frozen=True, gc=False):
    """One balance: ``factor_percent`` scales what draws on it, 100 if there is enough."""

    produced: int
    used: int
    factor_percent: int


class OrderView(msgspec.Struct, frozen=True, gc=False):
    """One order; ``level`` for a building or technology, ``count`` for units."""

    id: str
    asset: str
    kind: str
    level: int | None
    count: int | None
    cost: Mapping[str, int]
    state: str
    placed_at_ms: int
    starts_at_ms: int | None
    finishes_at_ms: int | None


class InventoryView(msgspec.Struct, frozen=True, gc=False):
    """Everything an account owns, at one moment of world time.

    ``encoded`` is where whoever shows it caches the orders, encoded, for as long as the account
    is in memory; None for a view that few will see.
    """

    account_id: str
    version: int
    at_ms: int
    tick: int
    resources: Mapping[str, StockView]
    balances: Mapping[str, BalanceView]
    buildings: Mapping[str, int]
    technologies: Mapping[str, int]
    units: Mapping[str, int]
    orders: tuple[OrderView, ...]
    encoded: Memo[OrderView, msgspec.Raw] | None = None


class Placed(msgspec.Struct, frozen=True, gc=False):
    """A placed order; ``replayed`` if the same key had placed it before."""

    order: OrderView
    replayed: bool


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    """A cancelled order and what was refunded for it."""

    order: OrderView
    refund: Mapping[str, int]


class ChangeView(msgspec.Struct, frozen=True, gc=False):
    """The effect of a ledger entry on one asset."""

    delta: int
    balance: int


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of the ledger; ``seq`` counts from 1 without gaps in each account.

    ``full`` names the resources that reached their capacity of that moment with it.
    """

    seq: int
    at_ms: int
    cause: str
    order_id: str | None = None
    transfer_id: str | None = None
    changes: Mapping[str, ChangeView] = msgspec.field(default_factory=dict[str, ChangeView])
    full: tuple[str, ...] = ()


class LedgerPage(msgspec.Struct, frozen=True, gc=False):
    """A page of the ledger; ``next`` is the ``after`` of the next page, None at the end."""

    entries: tuple[LedgerEntry, ...]
    next: int | None


class TransferRecord(msgspec.Struct, frozen=True, gc=False):
    """One transfer: goods in flight, or arrived, from one account to another.

    ``state`` is ``sent`` while in flight, then ``delivered``, or ``returned`` to a sender whose
    receiver could not take it; ``lost`` if neither account exists any more.
    ``ruleset`` is the version of the rules that define the names in ``resources``.
    """

    id: str
    sender_id: str
    sender_name: str
    receiver_id: str
    receiver_name: str
    resources: Mapping[str, int]
    note: str
    state: str
    sent_at_ms: int
    settled_at_ms: int | None
    ruleset: str = ""


class TransferPage(msgspec.Struct, frozen=True, gc=False):
    """A page of transfers, newest first; ``next`` is the ``before`` of the next page."""

    transfers: tuple[TransferRecord, ...]
    next: str | None


class EventPage(msgspec.Struct, frozen=True, gc=False):
    """A page of what happened: entries, and the orders and transfers they refer to, by id.

    ``now`` is the inventory as of the entry ``seq``; if the page ends before it, there is more to
    read. Orders and transfers are as they are when the page is made. While ``shifting``, rates may
    change without an entry, and a stock may be full earlier than ``now`` says.
    """

    now: InventoryView
    seq: int
    entries: tuple[LedgerEntry, ...] = ()
    orders: Mapping[str, OrderView] = msgspec.field(default_factory=dict[str, OrderView])
    transfers: Mapping[str, TransferRecord] = msgspec.field(
        default_factory=dict[str, TransferRecord]
    )
    shifting: bool = False


class Sent(msgspec.Struct, frozen=True, gc=False):
    """A transfer that has arrived; ``replayed`` if the same key had sent it before."""

    transfer: TransferRecord
    replayed: bool


class GrantRecord(msgspec.Struct, frozen=True, gc=False):
    """What an operator changed in an account's assets, and the balances afterwards."""

    id: str
    account_id: str
    changes: Mapping[str, ChangeView]
    reason: str
    operator: str
    at_ms: int


class Granted(msgspec.Struct, frozen=True, gc=False):
    """A durable grant; ``replayed`` if the same key had made it before."""

    grant: GrantRecord
    replayed: bool
