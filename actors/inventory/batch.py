"""Applies the commands that wait in a mailbox to a state, one after another; no I/O.

What they change is gathered into one unit, and nothing is answered before that unit is durable.
A command that is refused changes nothing and the next one goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from uuid_utils import uuid7

from actors.inventory import records
from actors.inventory.engine import (
    Events,
    State,
    advance,
    cancel_order,
    next_due_ms,
    order_view,
    place_order,
    view,
)
from actors.inventory.errors import IdempotencyKeyReused, UnknownOrder
from actors.inventory.messages import (
    CancelOrder,
    Forget,
    GetInventory,
    GetLedger,
    GetOrder,
    InventoryMessage,
    ListOrders,
    PlaceOrder,
    Settle,
)
from actors.inventory.records import KeyRecord
from actors.inventory.views import Cancelled, InventoryView, OrderView, Placed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.engine import Order
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import LedgerEntry
    from actors.inventory.world import WorldTime
    from actors.storage import Operation


@dataclass(frozen=True, slots=True)
class LookUp:
    """An answer that has to be looked up in the tables once the unit is durable."""

    body: CancelOrder | GetOrder | GetLedger


class Batch:
    """The commands of one unit, applied to the state that the last unit left."""

    def __init__(
        self,
        state: State,
        version: int,
        ruleset: Ruleset,
        world: WorldTime,
        known_keys: Mapping[str, KeyRecord],
    ) -> None:
        self.state = state
        self.new_keys: dict[str, KeyRecord] = {}
        self._before = state
        self._version = version
        self._ruleset = ruleset
        self._now_ms = max(world.now_ms, state.at_ms)
        self._tick = world.tick
        self._known_keys = known_keys
        self._entries: list[LedgerEntry] = []
        self._orders: dict[str, Order] = {}
        self._new_orders: set[str] = set()

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self.state is not self._before

    def apply(self, body: InventoryMessage) -> object:
        """Carry one command out; return its answer, or a `LookUp`.

        Raises:
            InventoryError: the command is refused and changed nothing.
        """
        match body:
            case GetInventory():
                return self._view()
            case PlaceOrder():
                return self._place(body)
            case CancelOrder():
                return self._cancel(body)
            case GetOrder(order_id=order_id):
                self._settle_if_due()
                pending = next((o for o in self.state.orders if o.id == order_id), None)
                return LookUp(body) if pending is None else order_view(pending)
            case ListOrders():
                self._settle_if_due()
                return self._pending()
            case GetLedger():
                self._take(*advance(self.state, self._ruleset, self._now_ms))
                return LookUp(body)
            case Settle():
                self._settle_if_due()
                return None
            case Forget():
                return None

    def operations(self) -> list[Operation]:
        """Give the unit that makes everything so far durable."""
        account_id = self.state.account_id
        events = Events(tuple(self._entries), tuple(self._orders.values()))
        return [
            records.changed_inventory(self.state, self._ruleset, self._version),
            *records.event_operations(account_id, events, frozenset(self._new_orders)),
            *(
                records.key_operation(account_id, key, record, self._now_ms)
                for key, record in self.new_keys.items()
            ),
        ]

    def _view(self) -> InventoryView:
        self._settle_if_due()
        version = self._version + self.changed
        return view(self.state, self._ruleset, self._now_ms, version=version, tick=self._tick)

    def _place(self, command: PlaceOrder) -> Placed:
        key = command.idempotency_key
        known = self.new_keys.get(key) or self._known_keys.get(key)
        if known is not None:
            if known.fingerprint != command.fingerprint:
                raise IdempotencyKeyReused
            return Placed(known.order, replayed=True)
        order_id = str(uuid7())
        state, events = place_order(
            self.state,
            self._ruleset,
            order_id=order_id,
            asset=command.asset,
            count=command.count,
            now_ms=self._now_ms,
        )
        self._new_orders.add(order_id)
        self._take(state, events)
        order = order_view(self._orders[order_id])
        self.new_keys[key] = KeyRecord(command.fingerprint, order)
        return Placed(order, replayed=False)

    def _cancel(self, command: CancelOrder) -> Cancelled | LookUp:
        try:
            state, events, refund = cancel_order(
                self.state, self._ruleset, order_id=command.order_id, now_ms=self._now_ms
            )
        except UnknownOrder:
            self._settle_if_due()
            return LookUp(command)
        self._take(state, events)
        return Cancelled(order_view(self._orders[command.order_id]), refund)

    def _pending(self) -> tuple[OrderView, ...]:
        endless = max((order.finishes_ms or 0 for order in self.state.orders), default=0) + 1
        orders = sorted(self.state.orders, key=lambda o: (o.finishes_ms or endless, o.seq))
        return tuple(order_view(order) for order in orders)

    def _settle_if_due(self) -> None:
        due_ms = next_due_ms(self.state, self._ruleset)
        if due_ms is not None and due_ms <= self._now_ms:
            self._take(*advance(self.state, self._ruleset, self._now_ms))

    def _take(self, state: State, events: Events) -> None:
        if not events.entries and not events.orders:
            # Time alone has passed: what was there stays the record, and nothing is written.
            return
        self.state = state
        self._entries.extend(events.entries)
        self._orders.update((order.id, order) for order in events.orders)
