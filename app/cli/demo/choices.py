"""What a player could order, from the published ruleset and the inventory; sends no request."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from holdfast_client.requests import OrderBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from holdfast_client.types import Inventory, Ruleset, Tiered, Unit

CROWD_COUNT = 2_000
"""The maximum of units in one order, if the server does not publish it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to order, with its price and duration; a unit has a count."""

    asset: str
    cost: Mapping[str, int]
    seconds: float
    refund: float
    queue: str
    count: int | None = None

    @property
    def body(self) -> OrderBody:
        """The body of the order."""
        return OrderBody(self.asset, self.count)

    def is_affordable(self, inventory: Inventory) -> bool:
        """Return whether the stock covers the price."""
        stocks = inventory.resources
        return all(
            name in stocks and stocks[name].amount >= price for name, price in self.cost.items()
        )

    def finds_place(self, ruleset: Ruleset, inventory: Inventory) -> bool:
        """Return whether the queue has room for one more order."""
        queue = ruleset.queues.get(self.queue)
        there = [_queue_of(order.asset, ruleset) for order in inventory.orders]
        return queue is None or there.count(self.queue) < queue.slots + queue.length


def quickest_affordable(ruleset: Ruleset, inventory: Inventory) -> Choice | None:
    """Choose the quickest of what is affordable and allowed now."""
    affordable = [each for each in choices(ruleset, inventory) if each.is_affordable(inventory)]
    return min(affordable, key=lambda choice: choice.seconds, default=None)


def slowest_affordable(ruleset: Ruleset, inventory: Inventory) -> Choice | None:
    """Choose the slowest of what is affordable and allowed now."""
    affordable = [each for each in choices(ruleset, inventory) if each.is_affordable(inventory)]
    return max(affordable, key=lambda choice: choice.seconds, default=None)


def anything_else(ruleset: Ruleset, inventory: Inventory, than: Choice) -> Choice | None:
    """Choose an asset other than this one, whether affordable or not."""
    return next((each for each in choices(ruleset, inventory) if each.asset != than.asset), None)


def too_dear(ruleset: Ruleset, inventory: Inventory) -> Choice | None:
    """Choose something that is allowed and has room in its queue, but is not affordable."""
    crowds = _units(ruleset, inventory.owned(), in_crowds=True)
    return next(
        (
            each
            for each in chain(choices(ruleset, inventory), crowds)
            if not each.is_affordable(inventory) and each.finds_place(ruleset, inventory)
        ),
        None,
    )


def choices(ruleset: Ruleset, inventory: Inventory) -> Iterator[Choice]:
    """Yield what could be ordered next: the next level of each asset, or one of each unit."""
    owned = inventory.owned()
    pending = [order.asset for order in inventory.orders]
    for name, tiered in chain(ruleset.buildings.items(), ruleset.technologies.items()):
        if not _allows(tiered.requires, ruleset, owned):
            continue
        for address in tiered.instances or [name]:
            level = owned.get(address, 0) + pending.count(address) + 1
            if level <= len(tiered.levels):
                yield _level_choice(address, tiered, level)
    yield from _units(ruleset, owned)


def _level_choice(address: str, tiered: Tiered, level: int) -> Choice:
    """Offer one level."""
    row = tiered.levels[level - 1]
    return Choice(address, row.cost, row.duration_seconds, tiered.refund, tiered.queue)


def _units(
    ruleset: Ruleset, owned: Mapping[str, int], *, in_crowds: bool = False
) -> Iterator[Choice]:
    """Offer one of each unit that is allowed, or the maximum of one order."""
    for name, unit in ruleset.units.items():
        count = (unit.count_max or CROWD_COUNT) if in_crowds else 1
        if unit.cost and _allows(unit.requires, ruleset, owned):
            cost = {resource: price * count for resource, price in unit.cost.items()}
            seconds = unit.duration_seconds * count
            yield Choice(name, cost, seconds, unit.refund, unit.queue, count)


def _queue_of(address: str, ruleset: Ruleset) -> str:
    """Return the queue in which an asset is ordered."""
    name = address.partition(":")[0]
    assets: dict[str, Tiered | Unit] = {
        **ruleset.buildings,
        **ruleset.technologies,
        **ruleset.units,
    }
    return assets[name].queue if name in assets else ""


def _allows(requires: Mapping[str, int], ruleset: Ruleset, owned: Mapping[str, int]) -> bool:
    """Return whether the requirements are met; of several instances the highest counts."""
    return all(_highest(name, ruleset, owned) >= level for name, level in requires.items())


def _highest(name: str, ruleset: Ruleset, owned: Mapping[str, int]) -> int:
    """Return the highest level of an asset's instances."""
    building = ruleset.buildings.get(name)
    addresses = (building.instances if building is not None else []) or [name]
    return max(owned.get(address, 0) for address in addresses)
