"""A compiled ruleset: every question a running game asks, answered from tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.inventory.ruleset import description, rates
from actors.inventory.ruleset.tables import highest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.model import Asset, Balance, Queue, Rates, Resource, Transfers
    from actors.inventory.ruleset.sheets import DurationRule, Sheet


@dataclass(frozen=True, slots=True)
class Ruleset:
    """The rules of one world; immutable, and equal in effect wherever ``version`` is equal.

    ``version`` is a digest of the content and of ``parameters``, the world parameters in force.
    ``assets`` is keyed by address, ``sheets`` and ``addresses`` by name.  The mappings handed
    out are shared and read-only: copy what you mean to change.
    """

    name: str
    version: str
    title: str
    description: str
    parameters: Mapping[str, int | float]
    resources: Mapping[str, Resource]
    balances: Mapping[str, Balance]
    queues: Mapping[str, Queue]
    assets: Mapping[str, Asset]
    transfers: Transfers
    archive: str
    addresses: Mapping[str, tuple[str, ...]]
    sheets: Mapping[str, Sheet]
    duration_rule: DurationRule
    works: rates.Works

    def cost(self, address: str, level: int) -> Mapping[str, int]:
        """Return the price in whole units of reaching ``level`` (of one unit, for a unit).

        Raises KeyError for an unknown address, ValueError for a level the asset does not have.
        """
        sheet = self.sheets[self.assets[address].name]
        if sheet.kind == "unit":
            return sheet.costs[0]
        if 1 <= level <= len(sheet.costs):
            return sheet.costs[level - 1]
        raise ValueError(f"{address} has levels 1 to {len(sheet.costs)}, not {level}")

    def duration_ms(self, address: str, level: int, levels: Mapping[str, int]) -> int:
        """Return how long building ``level`` takes (one unit, for a unit), with ``levels`` built.

        ``levels`` are built levels by address, missing ones 0.  Raises as `cost` does.
        """
        sheet = self.sheets[self.assets[address].name]
        if sheet.kind == "unit":
            level = 1
        elif not 1 <= level <= len(sheet.costs):
            raise ValueError(f"{address} has levels 1 to {len(sheet.costs)}, not {level}")
        numerator, denominator = sheet.duration.at(level - 1, levels)
        for factor in sheet.duration_factors:
            own = highest(factor.addresses, levels)
            share = factor.values[min(own, factor.last)]
            numerator *= share[0]
            denominator *= share[1]
        return self.duration_rule.whole_ms(numerator, denominator)

    def rates(self, levels: Mapping[str, int], units: Mapping[str, int]) -> Rates:
        """Return income, room and balances with ``levels`` built and ``units`` owned."""
        return self.works.rates(levels, units)

    def missing(
        self, address: str, levels: Mapping[str, int], units: Mapping[str, int]
    ) -> Mapping[str, int]:
        """Return the prerequisites not met: asset name to the level (or count) needed.

        A building of several instances counts by its highest level.
        """
        return {
            need.asset_name: need.level
            for need in self.assets[address].requires
            if highest(self.addresses[need.asset_name], levels) < need.level
            and units.get(need.asset_name, 0) < need.level
        }

    def describe(self) -> dict[str, Any]:
        """Return the whole ruleset as plain JSON data, with costs and durations per level."""
        return description.describe(self)
