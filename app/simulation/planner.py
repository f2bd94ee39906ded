"""Which step pays back first: the calculation behind the policy ``greedy``.

A *goal* is one more level (or unit) of an asset that raises income, with all that it needs: the
missing prerequisites, and feeders for any balance that would be short. Its price is measured in
hours of income, its gain as a share of the present income; a resource with a low income weighs
more in both. Where building takes longer than saving, the building time is the price, and an asset
that shortens it gains the share of that time which it saves. The goal with the lowest price for
its gain is the best; its first step is the next one.

The answer depends only on levels and units, so it is computed once for all accounts that share
them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.inventory.ruleset.sheets import FULL
from actors.inventory.ruleset.tables import highest
from app.simulation.roles import Roles
from app.simulation.sight import BATCH_MAX, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from actors.inventory.ruleset import Rates, Ruleset

_HOUR_MS: Final = 3_600_000

_STEPS_MAX: Final = 64
"""A goal that takes more steps than this is not considered."""

_SCARCEST: Final = 0.1
"""The lowest income assumed for a resource, as a share of the average income."""


class _Step(NamedTuple):
    """One order on the way to a goal; ``level`` is 1 for units."""

    wanted: Wanted
    level: int


@dataclass(slots=True)
class _Goal:
    """The steps to a goal, and the assets owned before and after them."""

    start: Mapping[str, int]
    owned: dict[str, int]
    steps: list[_Step] = field(default_factory=list[_Step])
    cost: dict[str, int] = field(default_factory=dict[str, int])
    """The price of all steps."""


class _Offer(NamedTuple):
    """A goal with its price, the hours to save or build, and its gain in income."""

    goal: _Goal
    price: float
    gain: float


class _Plan(NamedTuple):
    """The step to take next, and the price of the whole goal that it leads to."""

    step: Wanted
    price: Mapping[str, int]


class Planner:
    """Finds the next step of a player who only wants to grow; see the module."""

    def __init__(self, ruleset: Ruleset) -> None:
        self._ruleset = ruleset
        self._roles = Roles(ruleset)
        self._best = lru_cache(maxsize=65_536)(self._reckon)
        self._rates = lru_cache(maxsize=65_536)(self._read_rates)

    def next_step(self, owned: Mapping[str, int]) -> Wanted | None:
        """Return the next step for these assets (levels and units by address), if any."""
        plan = self._plan(owned)
        return None if plan is None else plan.step

    def price_ahead(self, owned: Mapping[str, int]) -> Mapping[str, int]:
        """Return the price of all steps to the goal of the next step."""
        plan = self._plan(owned)
        return {} if plan is None else plan.price

    def first_of(self, asset: str, owned: Mapping[str, int]) -> Wanted | None:
        """Return the first step towards one more of ``asset``, prerequisites first."""
        goal = _goal_from(owned)
        return goal.steps[0].wanted if self._add(goal, asset) else None

    def store_for(self, resource: str, owned: Mapping[str, int]) -> str | None:
        """Return the asset that adds room for ``resource`` at the lowest price per unit."""
        best: tuple[float, str] | None = None
        for address in self._lowest(self._roles.stores.get(resource, ()), owned):
            room = self._roles.room(address, resource, owned)
            cost = self._ruleset.cost(address, owned.get(address, 0) + 1)
            price = sum(cost.values()) / room if room > 0 else None
            if price is not None and (best is None or price < best[0]):
                best = price, address
        return None if best is None else best[1]

    def cost(self, step: Wanted, owned: Mapping[str, int]) -> Mapping[str, int]:
        """Return the price of a step."""
        if step.units is None:
            return self._ruleset.cost(step.asset, owned.get(step.asset, 0) + 1)
        cost = self._ruleset.cost(step.asset, 1)
        return {name: price * step.units for name, price in cost.items()}

    def capacity(self, resource: str, owned: Mapping[str, int]) -> int | None:
        """Return the capacity for a resource that these assets give; None: no limit."""
        return self._ruleset.rates(*self._roles.split(owned)).capacity[resource]

    # ------------------------------------------------------------------ reckoning

    def _plan(self, owned: Mapping[str, int]) -> _Plan | None:
        return self._best(tuple([owned.get(name, 0) for name in self._roles.relevant]))

    def _reckon(self, key: tuple[int, ...]) -> _Plan | None:
        owned = {name: n for name, n in zip(self._roles.relevant, key, strict=True) if n}
        before = self._rates(key)
        weights = self._weights(before)
        best: _Offer | None = None
        for address in self._lowest(self._roles.earners, owned):
            offer = self._offer(address, owned, before, weights)
            if offer and (best is None or offer.price * best.gain < best.price * offer.gain):
                best = offer
        if best is None:
            return None
        first = _plan_of(best.goal)
        for asset in self._roles.shorteners_of(first.step.asset):
            quicker = self._quicker(asset, owned, weights, best)
            if quicker is not None:
                return quicker
        return first

    def _offer(
        self, address: str, owned: dict[str, int], before: Rates, weights: Mapping[str, float]
    ) -> _Offer | None:
        """Return the offer of one more of an earner; None if it is impossible or gains nothing."""
        goal = _goal_from(owned)
        if not self._add(goal, address) or not self._feed(goal, weights):
            return None
        after = self._rates_of(goal.owned).per_hour
        gain = sum((after[name] - before.per_hour[name]) * weights[name] for name in weights)
        price = max(_hours_of(goal.cost, weights), self._hours(goal, owned))
        return _Offer(goal, price, gain) if gain > 0 else None

    def _quicker(
        self, asset: str, owned: dict[str, int], weights: Mapping[str, float], best: _Offer
    ) -> _Plan | None:
        """Return the plan for one more of what shortens the best goal, if that is better."""
        shorter = _goal_from(owned)
        if not self._add(shorter, asset):
            return None
        saved = best.price - max(
            _hours_of(best.goal.cost, weights), self._hours(best.goal, shorter.owned)
        )
        price = max(_hours_of(shorter.cost, weights), self._hours(shorter, owned))
        if saved <= 0 or price * best.gain >= saved:
            return None
        return _plan_of(shorter)

    def _add(self, goal: _Goal, address: str) -> bool:
        """Add one more of an asset to a goal, prerequisites first; False if that is impossible."""
        rules = self._ruleset.assets[address]
        for need in rules.requires:
            addresses = self._ruleset.addresses[need.asset_name]
            while highest(addresses, goal.owned) < need.level:
                top = max(addresses, key=lambda each: goal.owned.get(each, 0))
                if not self._add(goal, top):
                    return False
        if rules.max_level is not None and goal.owned.get(address, 0) >= rules.max_level:
            return False
        if len(goal.steps) >= _STEPS_MAX:
            return False
        self._take(goal, Wanted(address, 1 if self._roles.is_unit(address) else None))
        return True

    def _feed(self, goal: _Goal, weights: Mapping[str, float]) -> bool:
        """Add feeders for the balances that would be short; False if that takes too many steps."""
        while True:
            rates = self._rates_of(goal.owned)
            short = [name for name, now in rates.balances.items() if now.factor_percent < FULL]
            missing = {
                name: rates.balances[name].used - rates.balances[name].produced for name in short
            }
            feeders = [(name, self._feeder(name, goal, missing[name], weights)) for name in short]
            steps = [step for _, step in feeders if step is not None]
            if not steps:
                # Nothing can help: accept the shortage.
                return True
            if len(goal.steps) + len(steps) > _STEPS_MAX:
                return False
            for step in steps:
                self._take(goal, step)
            # Feeders come first: without them the goal itself brings nothing.
            goal.steps = [*goal.steps[-len(steps) :], *goal.steps[: -len(steps)]]

    def _feeder(
        self, balance: str, goal: _Goal, missing: int, weights: Mapping[str, float]
    ) -> Wanted | None:
        """Choose the allowed asset that gives most of a balance for its price."""
        best: tuple[float, Wanted] | None = None
        # It precedes the other steps, so it must be allowed without them.
        levels, units = self._roles.split(goal.start)
        for address in self._lowest(self._roles.feeders.get(balance, ()), goal.owned):
            given = self._roles.given(address, balance, goal.owned)
            if given <= 0 or self._ruleset.missing(address, levels, units):
                continue
            is_unit = self._roles.is_unit(address)
            count = min(-(-missing // given), BATCH_MAX)
            step = Wanted(address, count if is_unit else None)
            price = _hours_of(self.cost(step, goal.owned), weights) / (given * (step.units or 1))
            if best is None or price < best[0]:
                best = price, step
        return None if best is None else best[1]

    def _take(self, goal: _Goal, step: Wanted) -> None:
        for name, price in self.cost(step, goal.owned).items():
            goal.cost[name] = goal.cost.get(name, 0) + price
        owned = goal.owned.get(step.asset, 0) + (step.units or 1)
        goal.owned[step.asset] = owned
        goal.steps.append(_Step(step, 1 if step.units else owned))

    def _hours(self, goal: _Goal, owned: Mapping[str, int]) -> float:
        """Return the hours that building all steps takes with these assets."""
        return sum(
            self._ruleset.duration_ms(step.asset, level, owned) * (step.units or 1) / _HOUR_MS
            for step, level in goal.steps
        )

    def _weights(self, rates: Rates) -> dict[str, float]:
        """Weigh each resource that anything costs by how low its income is."""
        incomes = {name: max(0, rates.per_hour[name]) for name in self._roles.currencies}
        floor = max(1.0, _SCARCEST * sum(incomes.values()) / max(1, len(incomes)))
        return {name: 1 / max(income, floor) for name, income in incomes.items()}

    def _rates_of(self, owned: Mapping[str, int]) -> Rates:
        return self._rates(tuple([owned.get(name, 0) for name in self._roles.relevant]))

    def _read_rates(self, key: tuple[int, ...]) -> Rates:
        owned = {name: n for name, n in zip(self._roles.relevant, key, strict=True) if n}
        return self._ruleset.rates(*self._roles.split(owned))

    def _lowest(self, addresses: Iterable[str], owned: Mapping[str, int]) -> Iterator[str]:
        """Yield the assets that can rise; of instances at the same level, only the first."""
        seen: set[tuple[str, int]] = set()
        for address in addresses:
            rules = self._ruleset.assets[address]
            level = owned.get(address, 0)
            if (rules.name, level) not in seen and (
                rules.max_level is None or level < rules.max_level
            ):
                seen.add((rules.name, level))
                yield address


def _goal_from(owned: Mapping[str, int]) -> _Goal:
    return _Goal(owned, dict(owned))


def _plan_of(goal: _Goal) -> _Plan:
    return _Plan(goal.steps[0].wanted, goal.cost)


def _hours_of(cost: Mapping[str, int], weights: Mapping[str, float]) -> float:
    """Return the hours that saving for a price takes: those of its scarcest part."""
    return max([price * weights[name] for name, price in cost.items()], default=0.0)
