"""The working copy of a state inside one engine call.

A call opens a draft, changes it, and closes it into a new state and its events. The state it was
opened from is never touched, so a refusal anywhere leaves nothing half-done.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import msgspec

from actors.inventory.engine.grains import GRAINS_PER_UNIT
from actors.inventory.engine.orders import UNIT, Order
from actors.inventory.engine.state import NO_EVENTS, Events, State, flows_of
from actors.inventory.views import ChangeView, LedgerEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.inventory.engine.series import Run
    from actors.inventory.ruleset import Ruleset

HELD_PREFIX = "held:"
"""Ledger name prefix for held resources: ``held:metal``."""


class Draft:
    """A state being changed; mappings are replaced, never modified in place."""

    __slots__ = (
        "_base",
        "_base_held",
        "_changed",
        "_entries",
        "_landed",
        "_started",
        "amounts",
        "at_ms",
        "effort",
        "flows",
        "held",
        "levels",
        "order_seq",
        "pending",
        "ruleset",
        "run",
        "seq",
        "state",
        "units",
    )

    def __init__(self, state: State, ruleset: Ruleset) -> None:
        self.state = state
        self.ruleset = ruleset
        self.at_ms = state.at_ms
        self.seq = state.seq
        self.order_seq = state.order_seq
        self.amounts = state.amounts
        self.levels = state.levels
        self.units = state.units
        self.held = state.held
        self.pending = state.pending
        self.flows = state.flows
        self.run: Run | None = None
        self.effort = 0
        self._base: Mapping[str, int] = state.amounts
        self._base_held: Mapping[str, int] = state.held
        self._entries: list[LedgerEntry] = []
        self._changed: dict[str, Order] = {}
        self._landed: dict[int, tuple[int, Order, int]] = {}
        self._started: list[tuple[int, Order]] = []

    def close(self) -> tuple[State, Events]:
        """Return the new state and everything that happened since the draft was opened."""
        self.enter_landed()
        state = State(
            account_id=self.state.account_id,
            at_ms=self.at_ms,
            seq=self.seq,
            order_seq=self.order_seq,
            ruleset=self.ruleset.version,
            amounts=self.amounts,
            levels=self.levels,
            units=self.units,
            held=self.held,
            pending=self.pending,
            flows=self.flows,
        )
        if not self._entries and not self._changed:
            return state, NO_EVENTS
        return state, Events(tuple(self._entries), tuple(self._changed.values()))

    # -- the ledger ----------------------------------------------------------------------------

    def enter(
        self,
        cause: str,
        changes: Mapping[str, ChangeView],
        *,
        at_ms: int | None = None,
        order_id: str | None = None,
        transfer_id: str | None = None,
    ) -> None:
        """Append a ledger entry, at ``at_ms`` or now; the flows say what it fills."""
        self.seq += 1
        moment = self.at_ms if at_ms is None else at_ms
        full = _filled(changes, self.flows.rates.capacity)
        self._entries.append(
            LedgerEntry(self.seq, moment, cause, order_id, transfer_id, changes, full)
        )

    def enter_amounts(
        self,
        cause: str,
        *,
        order_id: str | None = None,
        transfer_id: str | None = None,
        also: Mapping[str, ChangeView] | None = None,
        always: bool = False,
    ) -> None:
        """Enter what changed in stocks, in whole units, since they were last entered.

        ``also`` are changes of other assets that belong to the same entry. There is no entry if
        nothing changed, unless ``always``: a fraction of a unit shows up in a later entry.
        """
        changes = _changes_between(self._base, self.amounts)
        if self.held is not self._base_held:
            changes.update(_changes_between(self._base_held, self.held, HELD_PREFIX))
            self._base_held = self.held
        self._base = self.amounts
        if also:
            changes.update(also)
        if changes or always:
            self.enter(cause, changes, order_id=order_id, transfer_id=transfer_id)

    def enter_landed(self) -> None:
        """Enter the units delivered, and the orders started, since the last call, by time.

        The units of an order are one entry. Starts come after what ended at the same moment.
        """
        if not self._landed and not self._started:
            return
        balances = dict(self.units)
        for count, order, _ in self._landed.values():
            balances[order.asset] -= count
        happened = [
            (last_ms, 0, order.seq, order, n) for n, order, last_ms in self._landed.values()
        ]
        happened += [(at_ms, 1, order.seq, order, 0) for at_ms, order in self._started]
        for at_ms, _, _, order, count in sorted(happened, key=itemgetter(0, 1, 2)):
            if count:
                balances[order.asset] += count
                change = ChangeView(count, balances[order.asset])
                self.enter("unit-completed", {order.asset: change}, at_ms=at_ms, order_id=order.id)
            else:
                self.enter("order-started", {}, at_ms=at_ms, order_id=order.id)
        self._landed.clear()
        self._started.clear()

    # -- stocks --------------------------------------------------------------------------------

    def shortfall(self, cost: Mapping[str, int]) -> dict[str, int]:
        """Whole units that the floor of each stock falls short of ``cost``."""
        missing: dict[str, int] = {}
        for name, needed in cost.items():
            here = self.amounts[name] // GRAINS_PER_UNIT
            if here < needed:
                missing[name] = needed - here
        return missing

    def add(self, changes: Mapping[str, int], sign: int = 1) -> None:
        """Add whole units to the stocks, or with ``sign`` -1 take them out; checks nothing."""
        amounts = dict(self.amounts)
        for name, units in changes.items():
            amounts[name] += sign * units * GRAINS_PER_UNIT
        self.amounts = amounts

    def rebase(self, amounts: dict[str, int], held: dict[str, int]) -> None:
        """Replace the stocks with others that the caller enters itself."""
        self.amounts = self._base = amounts
        self.held = self._base_held = held

    def release_held(self) -> None:
        """Let held goods flow into their stocks as far as there is room, and enter it."""
        if not self.held:
            return
        moved = {
            name: min(self.held[name], ceiling - self.amounts[name])
            for name, _, ceiling in self.flows.streams
            if name in self.held and ceiling > self.amounts[name]
        }
        if not moved:
            return
        self.enter_landed()
        self.enter_amounts("production")
        rest = {name: grains - moved.get(name, 0) for name, grains in self.held.items()}
        self.held = {name: grains for name, grains in rest.items() if grains}
        self.amounts = {name: n + moved.get(name, 0) for name, n in self.amounts.items()}
        self.enter_amounts("held-released")

    def reflow(self) -> None:
        """Derive the flows again, after levels or units changed."""
        self.flows = flows_of(self.ruleset, self.levels, self.units)

    # -- orders --------------------------------------------------------------------------------

    @property
    def orders(self) -> tuple[Order, ...]:
        """The pending orders, by ``seq``."""
        return self.pending.orders

    def put(self, order: Order) -> None:
        """Record a pending order, new or changed."""
        self._changed[order.id] = order
        if order.seq > self.order_seq:
            self.order_seq = order.seq
            self.pending = self.pending.added(order)
        else:
            self.pending = self.pending.changed(order)

    def put_all(self, orders: Iterable[Order]) -> None:
        """Record changed orders that are pending already, all in one go."""
        changed = {order.seq: order for order in orders}
        if changed:
            self._changed.update({order.id: order for order in changed.values()})
            self.pending = self.pending.all_changed(changed)

    def close_order(self, order: Order) -> None:
        """Record the last form of an order that is no longer pending."""
        self._changed[order.id] = order
        self.pending = self.pending.removed(order.seq)

    def land(self, order: Order, delivered: int, last_ms: int) -> Order:
        """Hand over the units of ``order`` up to ``delivered``, the last at ``last_ms``."""
        count = delivered - order.delivered
        order = msgspec.structs.replace(order, delivered=delivered)
        self.put(order)
        self.units = {**self.units, order.asset: self.units.get(order.asset, 0) + count}
        before = self._landed.get(order.seq)
        if before is not None:
            count += before[0]
        self._landed[order.seq] = (count, order, last_ms)
        return order

    def raise_level(self, order: Order) -> None:
        """Complete the order of a building or technology and enter it."""
        level = self.levels.get(order.asset, 0) + 1
        self.levels = {**self.levels, order.asset: level}
        self.enter("order-completed", {order.asset: ChangeView(1, level)}, order_id=order.id)

    def may_start(self, queue: str, asset: str, kind: str) -> bool:
        """Whether an order of ``asset`` could start now.

        A slot must be free, and a level waits for the level before it, so that with several slots
        no level overtakes the one it builds on.
        """
        running = [order.asset for order in self.pending.running if order.queue == queue]
        if kind != UNIT and asset in running:
            return False
        return len(running) < self.ruleset.queues[queue].slots

    def start(self, order: Order) -> None:
        """Let an order, new or waiting, run from now on."""
        order = order.started(self.at_ms)
        self.put(order)
        self._started.append((self.at_ms, order))

    def start_waiting(self, queue: str) -> None:
        """Start orders waiting in ``queue``, by sequence, while slots are free."""
        running = [order for order in self.pending.running if order.queue == queue]
        free = self.ruleset.queues[queue].slots - len(running)
        rising = {order.asset for order in running if order.kind != UNIT}
        for order in self.orders if free > 0 else ():
            if order.queue != queue or order.state != "queued" or order.asset in rising:
                continue
            self.start(order)
            free -= 1
            if not free:
                return
            if order.kind != UNIT:
                rising.add(order.asset)


def _filled(
    changes: Mapping[str, ChangeView], capacities: Mapping[str, int | None]
) -> tuple[str, ...]:
    """Return the resources that reach their capacity with these changes."""
    full: tuple[str, ...] = ()
    for name, change in changes.items():
        if change.delta > 0:
            capacity = capacities.get(name)
            if capacity is not None and change.balance >= capacity > change.balance - change.delta:
                full += (name,)
    return full


def _changes_between(
    before: Mapping[str, int], after: Mapping[str, int], prefix: str = ""
) -> dict[str, ChangeView]:
    """Return the changes of the floors in whole units between two mappings of grains."""
    changes: dict[str, ChangeView] = {}
    for name, amount in after.items():
        earlier = before.get(name, 0)
        if amount != earlier:
            balance = amount // GRAINS_PER_UNIT
            delta = balance - earlier // GRAINS_PER_UNIT
            if delta:
                changes[prefix + name] = ChangeView(delta, balance)
    if before.keys() <= after.keys():
        return changes
    for name, earlier in before.items():
        gone = earlier // GRAINS_PER_UNIT
        if gone and name not in after:
            changes[prefix + name] = ChangeView(-gone, 0)
    return changes
