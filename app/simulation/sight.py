"""What a bot sees of its account, updated by the bot as it places several orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.inventory.engine import GRAINS_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset import Ruleset
    from actors.inventory.views import InventoryView, OrderView


BATCH_MAX: Final = 1_000
"""Maximum units that a bot orders at once."""


class Wanted(NamedTuple):
    """An order that a bot wants to place: a level (``units`` None), or a number of units."""

    asset: str
    units: int | None = None


class Pending(NamedTuple):
    """An order that is queued or running; ``finishes_ms`` is None while it waits."""

    asset: str
    queue: str
    units: int | None
    finishes_ms: int | None


@dataclass(slots=True)
class Sight:
    """An account as its owner sees it now; `pay` and `add` keep it current as orders are placed.

    ``levels`` and ``units`` are complete, ``coming`` adds pending orders. Incomes are in units per
    hour, and hold until the next completion.
    """

    now_ms: int
    amounts: dict[str, int]
    per_hour: Mapping[str, int]
    capacity: Mapping[str, int | None]
    levels: Mapping[str, int]
    units: Mapping[str, int]
    coming: dict[str, int]
    pending: list[Pending]

    def affords(self, cost: Mapping[str, int]) -> bool:
        """Return whether the stocks cover a price."""
        amounts = self.amounts
        return all(amounts[name] >= price for name, price in cost.items())

    def pay(self, cost: Mapping[str, int]) -> None:
        """Deduct a price from the stocks."""
        for name, price in cost.items():
            self.amounts[name] -= price

    def affordable_ms(self, cost: Mapping[str, int]) -> int | None:
        """Return when the stocks will cover a price at the present incomes, None if never.

        It is an upper bound: fractions of a unit already in stock are not visible.
        """
        wait_ms = 0
        for name, price in cost.items():
            short = price - self.amounts[name]
            if short <= 0:
                continue
            per_hour, capacity = self.per_hour[name], self.capacity[name]
            if per_hour <= 0 or (capacity is not None and capacity < price):
                return None
            wait_ms = max(wait_ms, -(-short * GRAINS_PER_UNIT // per_hour))
        return self.now_ms + wait_ms

    def next_completion_ms(self, queue: str | None = None) -> int | None:
        """Return when the first order running, in one queue or any, finishes; None if none runs."""
        ends = (
            order.finishes_ms
            for order in self.pending
            if order.finishes_ms is not None and queue in {None, order.queue}
        )
        return min(ends, default=None)

    def waiting_in(self, queue: str) -> int:
        """Count the orders in a queue, running ones included."""
        return sum(order.queue == queue for order in self.pending)

    def add(self, asset: str, queue: str, units: int | None, finishes_ms: int | None) -> None:
        """Add an order that was placed, or is about to be."""
        self.pending.append(Pending(asset, queue, units, finishes_ms))
        self.coming[asset] = self.coming.get(asset, 0) + (units or 1)


def sight_of(view: InventoryView, ruleset: Ruleset) -> Sight:
    """Make the sight of a view."""
    levels = {**view.buildings, **view.technologies}
    sight = Sight(
        now_ms=view.at_ms,
        amounts={name: stock.amount for name, stock in view.resources.items()},
        per_hour={name: stock.per_hour for name, stock in view.resources.items()},
        capacity={name: stock.capacity for name, stock in view.resources.items()},
        levels=levels,
        units=view.units,
        coming={**levels, **view.units},
        pending=[],
    )
    for order in view.orders:
        enter(sight, order, ruleset)
    return sight


def enter(sight: Sight, order: OrderView, ruleset: Ruleset) -> None:
    """Add an order from the server's view of it."""
    queue = ruleset.assets[order.asset].queue
    sight.add(order.asset, queue, order.count, order.finishes_at_ms)
