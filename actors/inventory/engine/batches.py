"""Batches of units that move rates: how far their effect can be foreseen in closed form.

Each delivery of such a unit (a satellite that gives energy, a soldier who eats) may change the
rates. Most change nothing, or all of a batch change them by the same amount, so that a run of
deliveries is an arithmetic series, and a batch of a million costs little more than one of ten.
What cannot be foreseen is walked delivery by delivery.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.inventory.engine.grains import COUNT_MAX
from actors.inventory.engine.state import Flows, Stream, flows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from actors.inventory.engine.draft import Draft
    from actors.inventory.engine.orders import Order
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.ruleset.sheets import Effects

WALKED_COUNT_MAX: Final = 2_000
"""The most units in one order where every delivery must be walked (bounds one forecast)."""


class Series(NamedTuple):
    """Deliveries from ``first_ms`` on, one each ``piece_ms``, each adding ``slopes`` to rates."""

    first_ms: int
    piece_ms: int
    slopes: Mapping[str, int]

    def delivered(self, at_ms: int) -> int:
        """Return how many deliveries there are by ``at_ms``."""
        return 0 if at_ms < self.first_ms else (at_ms - self.first_ms) // self.piece_ms + 1

    def gain(self, resource: str, to_ms: int) -> int:
        """Return the grains that these deliveries add by ``to_ms``, before any bound."""
        slope = self.slopes[resource]
        if not slope:
            return 0
        # Every delivery adds its slope from its own moment on.
        count = self.delivered(to_ms)
        earlier = self.piece_ms * (count * (count - 1) // 2)
        return slope * (count * (to_ms - self.first_ms) - earlier)


class Run(NamedTuple):
    """A time in which rates change by series alone, and none turns from growth to loss."""

    series: tuple[Series, ...]

    def bounds(self, stream: Stream, at_ms: int) -> tuple[int, int]:
        """Return units per hour between which ``stream`` stays until that moment."""
        name, low, _ = stream
        high = low
        for series in self.series:
            slope = series.slopes[name] * series.delivered(at_ms)
            low += min(slope, 0)
            high += max(slope, 0)
        return low, high

    def gain(self, stream: Stream, from_ms: int, to_ms: int) -> int:
        """Return the grains that ``stream`` brings in that time, before any bound."""
        gain = stream.per_hour * (to_ms - from_ms)
        return gain + sum(s.gain(stream.resource, to_ms) for s in self.series)

    def totals(self, streams: Iterable[Stream], from_ms: int, to_ms: int) -> tuple[Stream, ...]:
        """Return the streams that bring in one millisecond what these bring in that time."""
        return tuple(
            Stream(stream.resource, self.gain(stream, from_ms, to_ms), stream.ceiling)
            for stream in streams
        )


def moves_rates(ruleset: Ruleset, asset: str) -> bool:
    """Return whether owning more of this unit changes any rate, capacity or balance."""
    effects = _effects(ruleset, asset)
    return bool(effects.makes or effects.balance or effects.capacity)


def count_max(ruleset: Ruleset, asset: str) -> int:
    """Return the most units of ``asset`` that one order may be for."""
    return COUNT_MAX if _is_foreseeable(ruleset, asset) else WALKED_COUNT_MAX


def next_shift(
    draft: Draft, movers: Iterable[Order], limit_ms: int
) -> tuple[int | None, Run | None]:
    """Return when a delivery by ``limit_ms`` first breaks the series, and the run until then.

    No moment: the run lasts until ``limit_ms``. ``movers`` are the running batches whose units
    move rates.
    """
    active = [order for order in movers if order.delivered_by(limit_ms) > order.delivered]
    if not active:
        return None, None
    assets = {order.asset for order in active}
    if not all(_is_foreseeable(draft.ruleset, asset) for asset in assets):
        return min(_delivery_ms(order, order.delivered + 1) for order in active), None
    series: list[Series] = []
    end_ms = limit_ms + 1
    for asset in sorted(assets):
        batches = [order for order in active if order.asset == asset]
        within = _new_by(batches, limit_ms)
        steady, slopes = _steady(draft, asset, within)
        series += [
            Series(_delivery_ms(order, order.delivered + 1), order.piece_ms, slopes)
            for order in batches
        ]
        if steady < within:
            end_ms = _first_beyond(draft, batches, steady, end_ms)
    run = Run(tuple(series))
    end_ms = _first_turn(draft, run, end_ms)
    if len(assets) > 1:
        end_ms = _first_imbalance(draft, active, end_ms)
    return (end_ms if end_ms <= limit_ms else None), run


def _effects(ruleset: Ruleset, asset: str) -> Effects:
    return ruleset.sheets[ruleset.assets[asset].name].effects


def _mixed(ruleset: Ruleset, asset: str) -> set[str]:
    """Return the resources for which this unit counts in several parts, rounded one by one.

    Of the sum of several rounded parts the first difference says nothing about the next.
    """
    makes = _effects(ruleset, asset).makes
    made = {flow.name for flow in makes if flow.sign > 0}
    used = {flow.name for flow in makes if flow.sign < 0}
    return made & (used | {bonus.resource for bonus in ruleset.works.bonuses})


def _is_foreseeable(ruleset: Ruleset, asset: str) -> bool:
    """Return whether what this unit does can be a series.

    Not if it adds room, which a stock that is full follows step by step, and not if it counts in a
    sum that is rounded part by part.
    """
    return not (_effects(ruleset, asset).capacity or _mixed(ruleset, asset))


def _delivery_ms(order: Order, piece: int) -> int:
    """Return when the given piece of a running order is finished, counted from 1."""
    return (order.starts_ms or 0) + piece * order.piece_ms


def _new_by(orders: Iterable[Order], at_ms: int) -> int:
    """Return how many deliveries of these orders are due by then and not made."""
    return sum(order.delivered_by(at_ms) - order.delivered for order in orders)


def _steady(draft: Draft, asset: str, within: int) -> tuple[int, Mapping[str, int]]:
    """Return how many of the next ``within`` deliveries go on as the first, and what each adds.

    What a unit brings is proportional to its count before it is rounded. So where factors and
    ceilings are equal at both ends they are equal in between; and a rate that rose by the first
    difference times the count rose by just that difference each time, because the differences of
    one rounded proportion take only two neighbouring values.
    """
    now = draft.flows
    owned = draft.units.get(asset, 0)

    @cache
    def ahead(more: int) -> Flows:
        units = {**draft.units, asset: owned + more}
        return flows_of(draft.ruleset, draft.levels, units)

    slopes = {
        here.resource: there.per_hour - here.per_hour
        for here, there in zip(now.streams, ahead(1).streams, strict=True)
    }
    return _longest(within, lambda more: _continues(now, ahead(more), more, slopes)), slopes


def _continues(now: Flows, then: Flows, more: int, slopes: Mapping[str, int]) -> bool:
    """Return whether ``then`` is what ``more`` deliveries of the same effect make of ``now``."""
    expected = tuple(
        Stream(name, per_hour + more * slopes[name], ceiling)
        for name, per_hour, ceiling in now.streams
    )
    return then.streams == expected and _factors(then) == _factors(now)


def _first_beyond(draft: Draft, orders: Sequence[Order], steady: int, end_ms: int) -> int:
    """Return when these orders make more than ``steady`` deliveries, or ``end_ms`` if earlier."""

    def beyond(at_ms: int) -> bool:
        return _new_by(orders, at_ms) > steady

    return _first_moment(draft.at_ms, end_ms, beyond)


def _first_turn(draft: Draft, run: Run, end_ms: int) -> int:
    """Return when a rate may first turn from growth to loss or back, or ``end_ms`` if earlier."""
    for stream in draft.flows.streams:

        def turned(at_ms: int, stream: Stream = stream) -> bool:
            low, high = run.bounds(stream, at_ms)
            return low < 0 < high

        end_ms = _first_moment(draft.at_ms, end_ms, turned)
    return end_ms


def _first_imbalance(draft: Draft, orders: Sequence[Order], end_ms: int) -> int:
    """Return when the batches together may first change a factor, or ``end_ms`` if earlier.

    A factor lies between that with all deliveries which ease its balance and none which strain
    it, and the other way round; while these two are equal it cannot have changed.
    """
    now = draft.flows.rates.balances
    pushes = {
        (order.asset, flow.name): flow.exact.at(0, draft.levels)[0] > 0
        for order in orders
        for flow in _effects(draft.ruleset, order.asset).balance
    }

    def factor(balance: str, at_ms: int, *, eased: bool) -> int:
        units = dict(draft.units)
        for order in orders:
            if pushes.get((order.asset, balance)) is eased:
                units[order.asset] = units.get(order.asset, 0) + _new_by((order,), at_ms)
        return draft.ruleset.rates(draft.levels, units).balances[balance].factor_percent

    def changed(at_ms: int) -> bool:
        return any(
            factor(balance, at_ms, eased=eased) != now[balance].factor_percent
            for balance in {name for _, name in pushes}
            for eased in (True, False)
        )

    return _first_moment(draft.at_ms, end_ms, changed)


def _first_moment(from_ms: int, end_ms: int, happened: Callable[[int], bool]) -> int:
    """Return when something that stays so once it ``happened`` first has, at most ``end_ms``."""
    if not happened(end_ms - 1):
        return end_ms
    return from_ms + bisect_left(range(from_ms, end_ms), x=True, key=happened)


def _factors(flows: Flows) -> list[int]:
    return [reading.factor_percent for reading in flows.rates.balances.values()]


def _longest(limit: int, holds: Callable[[int], bool]) -> int:
    """Return the largest n up to ``limit`` for which ``holds``, which then holds for all below.

    Doubling steps, then bisection.
    """
    good, step = 0, 1
    while good < limit and holds(min(good + step, limit)):
        good = min(good + step, limit)
        step *= 2
    bad = min(good + step, limit + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        if holds(middle):
            good = middle
        else:
            bad = middle
    return good
