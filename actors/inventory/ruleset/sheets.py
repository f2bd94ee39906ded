"""Sheets: the compiled tables of one asset, shared by all of its instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.model import Kind
    from actors.inventory.ruleset.rounding import Mode
    from actors.inventory.ruleset.tables import Ratio, Table

FULL = 100
"""Percentage at which an asset works when its balances suffice."""


@dataclass(frozen=True, slots=True)
class Factor:
    """An asset that scales durations: exact factors by its level, from 0."""

    name: str
    addresses: tuple[str, ...]
    values: tuple[Ratio, ...]
    last: int


@dataclass(frozen=True, slots=True)
class Bonus:
    """An asset that adds a share of ``producers``' output of ``resource``, by its level."""

    name: str
    addresses: tuple[str, ...]
    resource: str
    producers: tuple[str, ...]
    shares: tuple[Ratio, ...]
    last: int


@dataclass(frozen=True, slots=True)
class Flow:
    """An asset's contribution to one resource, balance or room; begins at level 0.

    ``whole`` is ``exact`` rounded down, and then signed: ``sign`` is -1 for consumption, whose
    ``exact`` values are positive.  A unit's tables hold one value, for one unit.
    """

    name: str
    sign: int
    exact: Table[Ratio]
    whole: Table[int]

    def of(
        self, number: int, levels: Mapping[str, int], *, is_unit: bool, percent: int = FULL
    ) -> int:
        """Return the rounded part that ``number`` levels, or units, give at ``percent``."""
        if is_unit:
            numerator, denominator = self.exact.at(0, levels)
            return self.sign * (numerator * number * percent // (denominator * FULL))
        if percent == FULL:
            return self.whole.at(number, levels)
        numerator, denominator = self.exact.at(number, levels)
        return self.sign * (numerator * percent // (denominator * FULL))


@dataclass(frozen=True, slots=True)
class Effects:
    """An asset's effects: units per hour, signed use of balances, and the room that it adds.

    ``draws`` names the balances that it uses: a shortage of one slows all that it ``makes``.
    """

    makes: tuple[Flow, ...]
    balance: tuple[Flow, ...]
    capacity: tuple[Flow, ...]
    draws: tuple[str, ...]

    def produces(self, resource: str) -> bool:
        """Return whether the asset makes this resource (rather than use it up)."""
        return any(flow.name == resource and flow.sign > 0 for flow in self.makes)

    def stores(self, resource: str) -> bool:
        """Return whether the asset adds room for this resource."""
        return any(flow.name == resource for flow in self.capacity)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One asset's tables.

    ``costs`` begin at level 1, whole units; ``duration`` begins at level 1, exact seconds before
    ``duration_factors``.  A unit's tables hold one value, for one unit.
    """

    name: str
    kind: Kind
    costs: tuple[Mapping[str, int], ...]
    duration: Table[Ratio]
    duration_factors: tuple[Factor, ...]
    effects: Effects


@dataclass(frozen=True, slots=True)
class DurationRule:
    """How a duration is rounded once all factors are applied: to steps of ``step_ms``."""

    mode: Mode
    step_ms: int
    minimum_ms: int

    def whole_ms(self, numerator: int, denominator: int) -> int:
        """Return ``numerator / denominator`` seconds as ms, rounded, at least the minimum."""
        thousand, unit = numerator * 1000, denominator * self.step_ms
        if self.mode == "nearest":
            steps = (2 * thousand + unit) // (2 * unit)
        elif self.mode == "ceil":
            steps = -(-thousand // unit)
        else:
            steps = thousand // unit
        return max(steps * self.step_ms, self.minimum_ms)
