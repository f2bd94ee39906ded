"""An account's income per hour from its assets, its room, and the state of its balances.

Each part of an income is rounded down, then all are added: base income, each asset's own
production (times the factor of the balances it draws on), each asset's consumption (likewise),
and the bonus of each modifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.inventory.ruleset.model import BalanceReading, Rates
from actors.inventory.ruleset.prices import HOLDING_MAX
from actors.inventory.ruleset.sheets import FULL
from actors.inventory.ruleset.tables import highest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.rounding import Mode
    from actors.inventory.ruleset.sheets import Bonus, Flow


@dataclass(frozen=True, slots=True)
class Worker:
    """One address with its flows of one sort; ``draws`` names what can slow it."""

    address: str
    is_unit: bool
    draws: tuple[str, ...]
    flows: tuple[Flow, ...]

    def percent(self, short: Mapping[str, int]) -> int:
        """Return the factor of the scarcest balance drawn on; ``short`` has all < 100."""
        return min([short.get(name, FULL) for name in self.draws], default=FULL)


@dataclass(frozen=True, slots=True)
class Extra:
    """A bonus with the flows it adds a share of."""

    bonus: Bonus
    sources: tuple[tuple[Worker, Flow], ...]

    def of(
        self, levels: Mapping[str, int], units: Mapping[str, int], short: Mapping[str, int]
    ) -> int:
        """Return the bonus as one part: its share of the exact, unrounded production."""
        bonus = self.bonus
        share, over_share = bonus.shares[min(highest(bonus.addresses, levels), bonus.last)]
        if share == 0:
            return 0
        total, over = 0, 1
        for maker, flow in self.sources:
            percent = maker.percent(short) if short else FULL
            if maker.is_unit:
                part, under = flow.exact.at(0, levels)
                part *= percent * units.get(maker.address, 0)
            else:
                part, under = flow.exact.at(levels.get(maker.address, 0), levels)
                part *= percent
            if under == over:
                total += part
            else:
                total, over = total * under + part * over, over * under
        return total * share // (over * over_share * FULL)


@dataclass(frozen=True, slots=True)
class Works:
    """Everything that makes up rates, arranged for one pass.

    ``movers`` are the addresses of all that changes any rate, room or balance. ``walked`` are
    those of units whose effect is no series: they add room, which a full stock follows step by
    step, or a bonus applies to what they make, which is rounded together with what others make.
    ``weight`` says how dear a pass is: it goes through every flow, whatever an account owns.
    """

    base_per_hour: Mapping[str, int]
    base_capacity: Mapping[str, int | None]
    balances: Mapping[str, Mode]
    balancers: tuple[Worker, ...]
    makers: tuple[Worker, ...]
    stores: tuple[Worker, ...]
    extras: tuple[Extra, ...]
    movers: frozenset[str]
    walked: frozenset[str]
    weight: int

    @property
    def bonuses(self) -> tuple[Bonus, ...]:
        """All bonuses on production."""
        return tuple(extra.bonus for extra in self.extras)

    def rates(self, levels: Mapping[str, int], units: Mapping[str, int]) -> Rates:
        """Return the rates with ``levels`` built and ``units`` owned."""
        balances = self._readings(levels, units)
        short = {
            name: reading.factor_percent
            for name, reading in balances.items()
            if reading.factor_percent != FULL
        }
        per_hour = dict(self.base_per_hour)
        for maker in self.makers:
            number = (units if maker.is_unit else levels).get(maker.address, 0)
            percent = maker.percent(short) if short else FULL
            for flow in maker.flows:
                per_hour[flow.name] += flow.of(
                    number, levels, is_unit=maker.is_unit, percent=percent
                )
        for extra in self.extras:
            per_hour[extra.bonus.resource] += extra.of(levels, units, short)
        return Rates(per_hour, self._capacity(levels, units), balances)

    def bonus_of(self, address: str, number: int, levels: Mapping[str, int]) -> dict[str, int]:
        """Return the bonuses on what one address makes, with full balances, by resource."""
        alone: dict[str, int] = {}
        for extra in self.extras:
            own = tuple(source for source in extra.sources if source[0].address == address)
            if own:
                part = Extra(extra.bonus, own).of(
                    {**levels, address: number}, {address: number}, {}
                )
                alone[extra.bonus.resource] = alone.get(extra.bonus.resource, 0) + part
        return alone

    def _readings(
        self, levels: Mapping[str, int], units: Mapping[str, int]
    ) -> dict[str, BalanceReading]:
        produced = dict.fromkeys(self.balances, 0)
        used = produced.copy()
        for balancer in self.balancers:
            number = (units if balancer.is_unit else levels).get(balancer.address, 0)
            for flow in balancer.flows:
                value = flow.of(number, levels, is_unit=balancer.is_unit)
                if value > 0:
                    produced[flow.name] += value
                else:
                    used[flow.name] -= value
        return {
            name: BalanceReading(
                produced[name], used[name], factor_percent(produced[name], used[name], mode)
            )
            for name, mode in self.balances.items()
        }

    def _capacity(
        self, levels: Mapping[str, int], units: Mapping[str, int]
    ) -> dict[str, int | None]:
        capacity = dict(self.base_capacity)
        for store in self.stores:
            number = (units if store.is_unit else levels).get(store.address, 0)
            for flow in store.flows:
                room = flow.of(number, levels, is_unit=store.is_unit)
                capacity[flow.name] = (capacity[flow.name] or 0) + room
        return {
            name: None if room is None else bounded_room(room) for name, room in capacity.items()
        }


def bounded_room(added_up: int) -> int:
    """Return the room that stores adding up to this much provide.

    Stores together may take away more than there is; and however much they add, an account holds
    no more than `HOLDING_MAX`.
    """
    return min(max(0, added_up), HOLDING_MAX)


def factor_percent(produced: int, used: int, mode: Mode) -> int:
    """Return ``produced / used`` in whole percent, at most 100."""
    if used <= produced:
        return FULL
    if mode == "nearest":
        return (2 * FULL * produced + used) // (2 * used)
    if mode == "ceil":
        return -(-FULL * produced // used)
    return FULL * produced // used
