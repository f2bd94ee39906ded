"""The policy ``greedy``: always the step that pays back first, and room for full stocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.simulation.planner import Planner
from app.simulation.sight import Wanted

if TYPE_CHECKING:
    import random

    from actors.inventory.ruleset import Ruleset
    from app.simulation.sight import Sight


class Greedy:
    """Saves for the next step of `Planner` and orders it as soon as it is affordable.

    A full stock gets more room first, if that is affordable and leaves enough for the next goal of
    any resource without income. A stock whose capacity is below the price of the next step gets
    more room, too.
    """

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._planner = Planner(ruleset)

    def orders(self, sight: Sight, rng: random.Random) -> list[Wanted]:
        """See `Policy.orders`; nothing here is random."""
        del rng
        coming = dict(sight.coming)
        places = {
            name: queue.slots + queue.length - sight.waiting_in(name)
            for name, queue in self._ruleset.queues.items()
        }
        wanted = [
            store
            for store in self._stores(sight)
            if self._can_spare(store, sight, coming) and self._take(store, sight, coming, places)
        ]
        step = self._next(sight, coming)
        while step is not None and self._take(step, sight, coming, places):
            wanted.append(step)
            step = self._next(sight, coming)
        return wanted

    def waits_for(self, sight: Sight) -> int | None:
        """See `Policy.waits_for`: for a place in the queue, a prerequisite, or the price."""
        step = self._next(sight, sight.coming)
        if step is None:
            return None
        rules = self._ruleset.assets[step.asset]
        queue = self._ruleset.queues[rules.queue]
        if sight.waiting_in(queue.name) >= queue.slots + queue.length:
            return sight.next_completion_ms(queue.name)
        completion_ms = sight.next_completion_ms()
        if self._ruleset.missing(step.asset, sight.levels, sight.units):
            return completion_ms
        affordable_ms = sight.affordable_ms(self._planner.cost(step, sight.coming))
        # If that is never at present rates, a completion may bring income or room.
        return completion_ms if affordable_ms is None else affordable_ms

    def _next(self, sight: Sight, coming: dict[str, int]) -> Wanted | None:
        """Return the next step, which may be to make room for the price of another."""
        step = self._planner.next_step(coming)
        if step is None:
            return None
        for name, price in self._planner.cost(step, coming).items():
            capacity = sight.capacity[name]
            if capacity is not None and capacity < price:
                # Pending orders may already add enough.
                room = self._planner.capacity(name, coming)
                return step if room is None or room >= price else self._room(name, coming)
        return step

    def _room(self, resource: str, coming: dict[str, int]) -> Wanted | None:
        store = self._planner.store_for(resource, coming)
        return None if store is None else self._planner.first_of(store, coming)

    def _stores(self, sight: Sight) -> list[Wanted]:
        """Return the stores that full stocks need, except those already on order."""
        full = [
            name
            for name, capacity in sight.capacity.items()
            if capacity is not None and sight.amounts[name] >= capacity
        ]
        found = [self._planner.store_for(name, sight.coming) for name in full]
        ordered = {order.asset for order in sight.pending}
        stores = dict.fromkeys(store for store in found if store is not None)
        return [
            Wanted(store, 1 if self._ruleset.assets[store].kind == "unit" else None)
            for store in stores
            if store not in ordered
        ]

    def _can_spare(self, store: Wanted, sight: Sight, coming: dict[str, int]) -> bool:
        """Return whether a store leaves the next goal its resources that have no income."""
        ahead = self._planner.price_ahead(coming)
        return all(
            sight.per_hour[name] > 0 or sight.amounts[name] - price >= ahead.get(name, 0)
            for name, price in self._planner.cost(store, coming).items()
        )

    def _take(
        self, step: Wanted, sight: Sight, coming: dict[str, int], places: dict[str, int]
    ) -> bool:
        """Book a step if it can be ordered now; return whether it could."""
        rules = self._ruleset.assets[step.asset]
        cost = self._planner.cost(step, coming)
        if (
            places[rules.queue] <= 0
            or not sight.affords(cost)
            or self._ruleset.missing(step.asset, sight.levels, sight.units)
        ):
            return False
        sight.pay(cost)
        places[rules.queue] -= 1
        coming[step.asset] = coming.get(step.asset, 0) + (step.units or 1)
        return True
