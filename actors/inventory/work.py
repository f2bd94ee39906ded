"""The unit of work: a state, what has happened to it, and what must be stored; no I/O.

A batch's commands are applied to one unit of work, one after another. A refused command changes
nothing, and the next continues from there. Nothing is answered before all of it is durable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from actors.inventory import records
from actors.inventory.engine import Events, advance, next_due_ms, view
from actors.inventory.errors import IdempotencyKeyReused
from actors.inventory.memo import Memo
from actors.inventory.records import KeyRecord
from actors.inventory.views import TransferRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from msgspec import Raw

    from actors.inventory.engine import Order, State
    from actors.inventory.events import Recent
    from actors.inventory.records import Answered
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import InventoryView, LedgerEntry, OrderView
    from actors.inventory.world import WorldTime
    from actors.storage import Operation, Read, Row


@dataclass(frozen=True, slots=True)
class LookUp:
    """An answer to look up in the tables once the unit is durable.

    ``finish`` makes the answer, an `InventoryError` or another `LookUp` from the rows of ``reads``.
    """

    reads: tuple[Read, ...]
    finish: Callable[[Sequence[Sequence[Row]]], object]


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The courier gives the answer once the transfer has arrived."""

    transfer: TransferRecord
    replayed: bool = False


@dataclass(slots=True)
class Context:
    """The context of an account's work: the rules, the time, and what is known beside the state.

    The Inventory maintains it; a unit of work only reads it. ``goods`` gives what a transfer
    carries by the names of these rules; ``settled_transfers`` are the records of those in this
    batch that are already settled; ``sent_today`` is what was sent since the day of world time
    began; ``recent`` are the last entries if somebody follows the account; ``encoded`` caches its
    orders as they are shown.
    """

    ruleset: Ruleset
    world: WorldTime
    goods: Callable[[TransferRecord], Mapping[str, int]]
    known_keys: dict[str, KeyRecord] = field(default_factory=dict[str, KeyRecord])
    settled_transfers: dict[str, TransferRecord] = field(default_factory=dict[str, TransferRecord])
    sent_today: dict[str, int] = field(default_factory=dict[str, int])
    recent: Recent | None = None
    encoded: Memo[OrderView, Raw] = field(default_factory=Memo["OrderView", "Raw"])


class Work:
    """One unit of work on an inventory of a given version."""

    __slots__ = (
        "_entries",
        "_frozen_before",
        "_more",
        "_new_orders",
        "_orders",
        "_state_before",
        "_version",
        "account_id",
        "context",
        "frozen_ms",
        "new_keys",
        "refused_keys",
        "ruleset",
        "sent",
        "settled",
        "state",
    )

    def __init__(self, state: State, version: int, frozen_ms: int | None, context: Context) -> None:
        self.account_id = state.account_id
        self.state = state
        self.frozen_ms = frozen_ms
        self.context = context
        self.ruleset = context.ruleset
        self.new_keys: dict[str, KeyRecord] = {}
        self.refused_keys: set[str] = set()
        self.sent: dict[str, int] = {}
        self.settled: dict[str, TransferRecord] = {}
        self._state_before = state
        self._frozen_before = frozen_ms
        self._version = version
        self._entries: list[LedgerEntry] = []
        self._orders: dict[str, Order] = {}
        self._new_orders: set[str] = set()
        self._more: list[Operation] = []

    @property
    def now_ms(self) -> int:
        """The account's own world time, which stands still while the account is frozen."""
        return self.world_ms if self.frozen_ms is None else self.state.at_ms

    @property
    def world_ms(self) -> int:
        """The time of the world, even while the account's own stands still."""
        return max(self.context.world.now_ms, self.state.at_ms)

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return (
            self.state is not self._state_before
            or self.frozen_ms != self._frozen_before
            or bool(self._more)
        )

    @property
    def version(self) -> int:
        """The version that the record will have once this work is durable."""
        return self._version + self.changed

    def view(self) -> InventoryView:
        """Show the inventory as it is after this work, with all that is due by now as done."""
        context = self.context
        return view(
            self.state,
            self.ruleset,
            self.now_ms,
            version=self.version,
            tick=context.world.tick,
            encoded=context.encoded,
        )

    @property
    def entries(self) -> Sequence[LedgerEntry]:
        """The entries that this work has added to the ledger."""
        return self._entries

    @property
    def orders(self) -> Collection[Order]:
        """The orders that this work has touched, in their latest form."""
        return self._orders.values()

    def order(self, order_id: str) -> Order:
        """Return an order that this work has touched, in its latest form."""
        return self._orders[order_id]

    def take(self, state: State, events: Events, *, new_order: str | None = None) -> None:
        """Continue from ``state``; if nothing but time has passed, nothing is stored."""
        if events.entries or events.orders:
            self.move(state, events, new_order=new_order)

    def move(self, state: State, events: Events, *, new_order: str | None = None) -> None:
        """Continue from ``state``, and store it even if nothing but time has passed."""
        self.state = state
        self._entries.extend(events.entries)
        for order in events.orders:
            self._orders[order.id] = order
        if new_order is not None:
            self._new_orders.add(new_order)

    def store(self, operation: Operation) -> None:
        """Add an operation to the unit."""
        self._more.append(operation)

    def settled_before(self, transfer_id: str) -> TransferRecord | None:
        """Find the record of a transfer that is settled, by this work or before it."""
        return self.settled.get(transfer_id) or self.context.settled_transfers.get(transfer_id)

    def settle(self) -> None:
        """Settle to this moment, entering what was produced in the ledger."""
        self.take(*advance(self.state, self.ruleset, self.now_ms))

    @property
    def is_due(self) -> bool:
        """Whether an order has come due; production alone needs no record."""
        due_ms = next_due_ms(self.state, self.ruleset)
        return due_ms is not None and due_ms <= self.now_ms

    def settle_if_due(self) -> None:
        """Settle if something has come due."""
        if self.is_due:
            self.settle()

    def answered_before(self, key: str, fingerprint: bytes) -> Answered | None:
        """Find the first answer to an idempotency key, if it was used before.

        Raises:
            IdempotencyKeyReused: it was used for another request.
        """
        known = self.new_keys.get(key) or self.context.known_keys.get(key)
        if known is None:
            return None
        if known.fingerprint != fingerprint:
            raise IdempotencyKeyReused
        return known.answer

    def remember(self, key: str, fingerprint: bytes, answer: Answered) -> None:
        """Store an idempotency key with its first answer, in the same unit as its effect."""
        record = self.new_keys[key] = KeyRecord(fingerprint, answer)
        self._more.append(records.key_operation(self.account_id, key, record, self.world_ms))

    def operations(self) -> list[Operation]:
        """Return the operations of the unit that makes all of it durable."""
        events = Events(tuple(self._entries), tuple(self._orders.values()))
        return [
            records.changed_inventory(self.state, self.ruleset, self._version, self.frozen_ms),
            *records.event_operations(self.account_id, events, self._new_orders),
            *self._more,
        ]
