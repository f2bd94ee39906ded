"""Batches of units that move rates: how far their effect can be foreseen in closed form.

Each delivery of such a unit (a satellite that gives energy, a soldier who eats) may change the
rates. Most change nothing or change them all by the same amount, so that a whole run of
deliveries is one arithmetic series, and a batch of a million costs little more than one of ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.inventory.engine.state import Flows, Stream, flows_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from actors.inventory.engine.draft import Draft
    from actors.inventory.engine.orders import Order
    from actors.inventory.ruleset import Ruleset


class Run(NamedTuple):
    """Deliveries from ``first_ms`` on, one each ``piece_ms``, each adding ``slopes`` to rates."""

    first_ms: int
    piece_ms: int
    slopes: Mapping[str, int]

    def gain(self, stream: Stream, from_ms: int, to_ms: int) -> int:
        """Return the grains that ``stream`` brings in that time, before any bound."""
        gain = stream.per_hour * (to_ms - from_ms)
        slope = self.slopes[stream.resource]
        if slope and to_ms > self.first_ms:
            # Every delivery adds its slope from its own moment on.
            delivered = (to_ms - self.first_ms) // self.piece_ms + 1
            series = self.piece_ms * delivered * (delivered - 1) // 2
            gain += slope * (delivered * (to_ms - self.first_ms) - series)
        return gain

    def totals(self, streams: Iterable[Stream], from_ms: int, to_ms: int) -> tuple[Stream, ...]:
        """Return the streams that bring in one millisecond what these bring in that time."""
        return tuple(
            stream._replace(per_hour=self.gain(stream, from_ms, to_ms)) for stream in streams
        )


def moves_rates(ruleset: Ruleset, asset: str) -> bool:
    """Return whether owning more of this unit changes any rate, capacity or balance."""
    sheet = ruleset.sheets[ruleset.assets[asset].name]
    return bool(sheet.produces or sheet.consumes or sheet.balance or sheet.capacity)


def next_shift(draft: Draft, movers: list[Order], limit_ms: int) -> tuple[int | None, Run | None]:
    """Return when a delivery by ``limit_ms`` first breaks the series, and the run until then.

    No moment: the run lasts until ``limit_ms``. ``movers`` are the running batches whose units
    move rates. Where several run at once, every delivery is a moment of its own.
    """
    if len(movers) > 1:
        first_ms = min(_delivery_ms(order, order.delivered + 1) for order in movers)
        return (first_ms if first_ms <= limit_ms else None), None
    order = movers[0]
    within = order.delivered_by(limit_ms) - order.delivered
    if within <= 0:
        return None, None
    steady, slopes = _steady(draft, order.asset, within)
    run = Run(_delivery_ms(order, order.delivered + 1), order.piece_ms, slopes)
    if steady == within:
        return None, run
    return _delivery_ms(order, order.delivered + steady + 1), run


def _delivery_ms(order: Order, piece: int) -> int:
    """Return when the given piece of a running order is finished, counted from 1."""
    return (order.starts_ms or 0) + piece * order.piece_ms


def _steady(draft: Draft, asset: str, within: int) -> tuple[int, Mapping[str, int]]:
    """Return how many of the next ``within`` deliveries go on in the same way, and which.

    What a unit brings is proportional to its count before it is rounded. So where factors and
    ceilings are equal at both ends they are equal in between; and a rate that rises by its first
    difference times the count has risen by just that difference each time, because the
    differences of one rounded proportion take only two neighbouring values.
    """
    now = draft.flows
    owned = draft.units.get(asset, 0)

    def ahead(more: int) -> Flows:
        units = {**draft.units, asset: owned + more}
        return flows_of(draft.ruleset, draft.levels, units)

    slopes = _slopes(draft.ruleset, asset, now, ahead(1))
    within = min(within, _until_turn(now.streams, slopes, within))
    return _longest(within, lambda more: _continues(now, ahead(more), more, slopes)), slopes


def _slopes(ruleset: Ruleset, asset: str, now: Flows, after_one: Flows) -> dict[str, int]:
    """Return what one delivery adds to each rate; 0 where that need not be so for the next.

    A resource that the unit makes and consumes, or that some bonus adds to, is a sum of several
    rounded parts, about which the first difference says nothing.
    """
    sheet = ruleset.sheets[ruleset.assets[asset].name]
    mixed = sheet.produces.keys() & sheet.consumes.keys()
    mixed |= {bonus.resource for bonus in ruleset.works.bonuses} & sheet.produces.keys()
    return {
        here.resource: 0 if here.resource in mixed else there.per_hour - here.per_hour
        for here, there in zip(now.streams, after_one.streams, strict=True)
    }


def _until_turn(streams: Iterable[Stream], slopes: Mapping[str, int], within: int) -> int:
    """Return after how many deliveries a rate would turn from growth to loss or back."""
    for name, per_hour, _ in streams:
        slope = slopes[name]
        if per_hour * slope < 0:
            within = min(within, abs(per_hour) // abs(slope))
    return within


def _continues(now: Flows, then: Flows, more: int, slopes: Mapping[str, int]) -> bool:
    """Return whether ``then`` is what ``more`` deliveries of the same effect make of ``now``."""
    expected = tuple(
        Stream(name, per_hour + more * slopes[name], ceiling)
        for name, per_hour, ceiling in now.streams
    )
    return then.streams == expected and _factors(then) == _factors(now)


def _factors(flows: Flows) -> list[int]:
    return [reading.factor_percent for reading in flows.rates.balances.values()]


def _longest(limit: int, holds: Callable[[int], bool]) -> int:
    """Return the largest n up to ``limit`` for which ``holds`` (which then holds for all below).

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
