"""The ledger: gap-free, consistent, and equal to the inventory when it is replayed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.inventory.engine import (
    AMOUNT_MAX,
    Events,
    Order,
    State,
    advance,
    cancel_order,
    credit,
    debit,
    decode_state,
    encode_state,
    grant,
    new_state,
    next_due_ms,
    place_order,
)
from actors.inventory.errors import InventoryError
from tests.actors.inventory.engine.plays import ASSETS, UNITS
from tests.actors.inventory.engine.worlds import HOUR, NOW, replay, whole, world

if TYPE_CHECKING:
    from actors.inventory.ruleset.model import Overflow
    from actors.inventory.views import LedgerEntry

RESOURCES = ("metal", "crystal", "gas")


class Economy(RuleBasedStateMachine):
    """Anything that can happen to an inventory, in any sequence, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.ruleset = world()
        self.state: State
        self.entries: list[LedgerEntry] = []
        self.orders: dict[str, Order] = {}
        self.spent: Counter[str] = Counter()
        self.refunded: Counter[str] = Counter()
        self.brought: Counter[str] = Counter()
        self.number = 0

    @initialize()
    def begin(self) -> None:
        """Begin an inventory."""
        self.take(*new_state("account", self.ruleset, NOW))

    @rule(wait_ms=st.integers(0, 5 * HOUR))
    def advance(self, wait_ms: int) -> None:
        """Let time pass."""
        self.take(*advance(self.state, self.ruleset, self.state.at_ms + wait_ms))

    @rule()
    def settle_what_is_due(self) -> None:
        """Let time pass to exactly the next completion."""
        due_ms = next_due_ms(self.state, self.ruleset)
        if due_ms is not None:
            assert due_ms > self.state.at_ms
            self.take(*advance(self.state, self.ruleset, due_ms))

    @rule(asset=st.sampled_from(ASSETS), wait_ms=st.integers(0, 60_000))
    def order_level(self, asset: str, wait_ms: int) -> None:
        """Order a level."""
        self.order(asset, None, wait_ms)

    @rule(asset=st.sampled_from(UNITS), count=st.integers(1, 300), wait_ms=st.integers(0, 60_000))
    def order_units(self, asset: str, count: int, wait_ms: int) -> None:
        """Order a batch."""
        self.order(asset, count, wait_ms)

    @rule(wait_ms=st.integers(0, 100_000), choice=st.integers(0, 7))
    def cancel(self, wait_ms: int, choice: int) -> None:
        """Cancel an order that was pending when its owner last looked."""
        if not self.state.orders:
            return
        order = self.state.orders[choice % len(self.state.orders)]
        now_ms = self.state.at_ms + wait_ms
        due = advance(self.state, self.ruleset, now_ms)[0]
        try:
            state, events, refund = cancel_order(
                self.state, self.ruleset, order_id=order.id, now_ms=now_ms
            )
        except InventoryError:
            assert order.id not in {o.id for o in due.orders}
            return
        assert order.id in {o.id for o in due.orders}
        self.refunded.update(refund)
        self.take(state, events)

    @rule(
        changes=st.dictionaries(
            st.sampled_from((*RESOURCES, *ASSETS, *UNITS)),
            st.one_of(st.integers(-3, 3), st.integers(-5000, 5000)),
            max_size=4,
        )
    )
    def grant(self, changes: dict[str, int]) -> None:
        """Change things with an operator's grant."""
        try:
            result = grant(
                self.state,
                self.ruleset,
                changes=changes,
                now_ms=self.state.at_ms,
                cause="grant",
            )
        except InventoryError:
            return
        self.brought.update({name: n for name, n in changes.items() if name in RESOURCES})
        self.take(*result)

    @rule(
        resource=st.sampled_from(RESOURCES),
        amount=st.one_of(st.integers(1, 4000), st.integers(AMOUNT_MAX - 4000, AMOUNT_MAX)),
        overflow=st.sampled_from(["reject", "hold", "spill"]),
    )
    def receive(self, resource: str, amount: int, overflow: Overflow) -> None:
        """Receive a transfer."""
        try:
            result = credit(
                self.state,
                self.ruleset,
                resources={resource: amount},
                now_ms=self.state.at_ms,
                cause="received",
                transfer_id="t",
                overflow=overflow,
            )
        except InventoryError:
            return
        self.brought[resource] += amount
        self.take(*result)

    @rule(resource=st.sampled_from(RESOURCES), amount=st.integers(1, 2000))
    def send(self, resource: str, amount: int) -> None:
        """Send a transfer."""
        try:
            result = debit(
                self.state,
                self.ruleset,
                resources={resource: amount},
                now_ms=self.state.at_ms,
                cause="sent",
                transfer_id="t",
            )
        except InventoryError:
            return
        self.brought[resource] -= amount
        self.take(*result)

    @rule()
    def restart(self) -> None:
        """Store and load."""
        stored = [order for order in self.orders.values() if order.state in {"queued", "running"}]
        loaded = decode_state(encode_state(self.state), self.ruleset, stored)
        assert loaded == self.state
        self.state = loaded

    def order(self, asset: str, count: int | None, wait_ms: int) -> None:
        """Place an order, or let its refusal change nothing."""
        self.number += 1
        name = f"order-{self.number}"
        try:
            state, events = place_order(
                self.state,
                self.ruleset,
                order_id=name,
                asset=asset,
                count=count,
                now_ms=self.state.at_ms + wait_ms,
            )
        except InventoryError:
            return
        self.spent.update(events.orders[-1].cost)
        self.take(state, events)

    def take(self, state: State, events: Events) -> None:
        """Keep a step's results, as the storage would."""
        self.state = state
        self.entries.extend(events.entries)
        for order in events.orders:
            before = self.orders.get(order.id)
            assert before is None or before.state in {"queued", "running"}
            self.orders[order.id] = order

    @invariant()
    def replay_reproduces_the_inventory(self) -> None:
        """Check that the ledger alone accounts for everything that exists."""
        if not self.entries:
            return
        assert replay(self.entries) == whole(self.state)
        assert self.entries[-1].seq == self.state.seq

    @invariant()
    def sources_minus_sinks_are_holdings(self) -> None:
        """Check what was spent, refunded, brought in and spilled against the entries' causes."""
        if not self.entries:
            return
        by_cause: dict[str, Counter[str]] = {}
        for entry in self.entries:
            total = by_cause.setdefault(entry.cause, Counter())
            for name, change in entry.changes.items():
                total[name.removeprefix("held:")] += change.delta
        none: Counter[str] = Counter()
        for name in RESOURCES:
            assert by_cause.get("order-placed", none)[name] == -self.spent[name]
            assert by_cause.get("order-cancelled", none)[name] == self.refunded[name]
            # A release moves grains between two floors, which may differ by the fraction moved.
            moved = sum(by_cause.get(cause, none)[name] for cause in ("grant", "received", "sent"))
            slack = len(self.entries) if self.state.held or "held-released" in by_cause else 0
            assert abs(moved - self.brought[name]) <= slack
            assert by_cause.get("spilled", none)[name] <= 0

    @invariant()
    def levels_on_order_follow_what_is_built(self) -> None:
        """Check that the pending levels of an asset are the next ones."""
        if not self.entries:
            return
        for asset in ASSETS:
            built = self.state.levels.get(asset, 0)
            ordered = [o.level for o in self.state.orders if o.asset == asset]
            assert ordered == list(range(built + 1, built + 1 + len(ordered)))

    @invariant()
    def records_are_the_pending_orders(self) -> None:
        """Check that the last recorded form of every order is the one in the state."""
        stored = {o.id: o for o in self.orders.values() if o.state in {"queued", "running"}}
        if self.entries:
            assert stored == {order.id: order for order in self.state.orders}

    @invariant()
    def no_slot_is_idle_while_an_order_waits(self) -> None:
        """Check that something runs in every single-slot queue in which something waits."""
        if not self.entries:
            return
        for queue in self.ruleset.queues.values():
            mine = [order for order in self.state.orders if order.queue == queue.name]
            running = sum(order.state == "running" for order in mine)
            assert len(mine) <= queue.slots + queue.length
            assert running == min(len(mine), queue.slots) or queue.slots > 1
            assert running <= queue.slots


Economy.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestEconomy = Economy.TestCase
