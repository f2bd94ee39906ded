"""The policy ``random``: one affordable order per visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.simulation.sight import BATCH_MAX, Wanted

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from actors.inventory.ruleset import Asset, Ruleset
    from app.simulation.sight import Sight


class Haphazard:
    """Orders at random, without any aim: what a ruleset yields to a player who never thinks."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._assets = tuple(ruleset.assets.values())

    def orders(self, sight: Sight, rng: random.Random) -> list[Wanted]:
        """See `Policy.orders`."""
        places = self._places(sight)
        options: list[tuple[Asset, Mapping[str, int]]] = []
        for asset in self._assets:
            cost = self._cost(asset, sight) if places[asset.queue] > 0 else None
            if cost is not None and sight.affords(cost):
                options.append((asset, cost))
        if not options:
            return []
        asset, cost = rng.choice(options)
        units = _batch(cost, sight, rng) if asset.max_level is None else None
        sight.pay({name: price * (units or 1) for name, price in cost.items()})
        return [Wanted(asset.address, units)]

    def waits_for(self, sight: Sight) -> int | None:
        """See `Policy.waits_for`: until anything at all can be ordered."""
        places = self._places(sight)
        first_ms = sight.next_completion_ms()
        for asset in self._assets:
            cost = self._cost(asset, sight) if places[asset.queue] > 0 else None
            moment_ms = None if cost is None else sight.affordable_ms(cost)
            if moment_ms is not None and (first_ms is None or moment_ms < first_ms):
                first_ms = moment_ms
                if first_ms <= sight.now_ms:
                    break
        return first_ms

    def _places(self, sight: Sight) -> dict[str, int]:
        """Count the free places of each queue."""
        places = {name: queue.slots + queue.length for name, queue in self._ruleset.queues.items()}
        for order in sight.pending:
            places[order.queue] -= 1
        return places

    def _cost(self, asset: Asset, sight: Sight) -> Mapping[str, int] | None:
        """Return the price of the next level or of one unit; None if it cannot be ordered."""
        level = 1
        if asset.max_level is not None:
            level = sight.coming.get(asset.address, 0) + 1
            if level > asset.max_level:
                return None
        if asset.requires and self._ruleset.missing(asset.address, sight.levels, sight.units):
            return None
        return self._ruleset.cost(asset.address, level)


def _batch(cost: Mapping[str, int], sight: Sight, rng: random.Random) -> int:
    """Draw an affordable number of units."""
    most = min((sight.amounts[name] // price for name, price in cost.items()), default=BATCH_MAX)
    return rng.randint(1, min(most, BATCH_MAX))
