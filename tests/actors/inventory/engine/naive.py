"""The economy played second by second, as described: the oracle for the closed forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.engine.grains import CEILING_GRAINS_MAX, GRAINS_PER_UNIT
from tests.actors.inventory.engine.worlds import SECOND

if TYPE_CHECKING:
    from actors.inventory.engine import Order, State
    from actors.inventory.ruleset import Ruleset


class Naive:
    """An inventory whose moments are all whole seconds, and that skips no second."""

    def __init__(self, state: State, rules: Ruleset) -> None:
        self.rules = rules
        self.now_ms = state.at_ms
        self.amounts = dict(state.amounts)
        self.levels = dict(state.levels)
        self.units = dict(state.units)
        self.waiting = [order for order in state.orders if order.state == "queued"]
        self.running: dict[int, tuple[Order, int]] = {
            order.seq: (order, order.starts_ms)
            for order in state.orders
            if order.starts_ms is not None
        }

    def run(self, seconds: int) -> None:
        """Let that many seconds pass."""
        for _ in range(seconds):
            self._grow()
            self.now_ms += SECOND
            for seq in sorted(self.running):
                self._finish_piece(*self.running[seq])

    def _grow(self) -> None:
        rates = self.rules.rates(self.levels, self.units)
        for name, per_hour in rates.per_hour.items():
            capacity = rates.capacity[name]
            limit = CEILING_GRAINS_MAX if capacity is None else capacity * GRAINS_PER_UNIT
            after = max(0, self.amounts[name] + per_hour * SECOND)
            if per_hour > 0:
                after = max(self.amounts[name], min(after, limit))
            self.amounts[name] = after

    def _finish_piece(self, order: Order, started_ms: int) -> None:
        pieces, rest = divmod(self.now_ms - started_ms, order.piece_ms)
        if rest or not pieces:
            return
        owned = self.levels if order.count is None else self.units
        owned[order.asset] = owned.get(order.asset, 0) + 1
        if pieces == (order.count or 1):
            del self.running[order.seq]
            self._start_next(order.queue)

    def _start_next(self, queue: str) -> None:
        for order in list(self.waiting):
            busy = [other for other, _ in self.running.values() if other.queue == queue]
            blocked = order.count is None and any(o.asset == order.asset for o in busy)
            if order.queue == queue and len(busy) < self.rules.queues[queue].slots and not blocked:
                self.waiting.remove(order)
                self.running[order.seq] = (order, self.now_ms)
