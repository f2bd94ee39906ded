"""Quotes: what an order would cost, and the first moment at which its price is affordable."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.inventory.engine.commands import check_count, check_time, find_asset, next_level, price
from actors.inventory.engine.draft import Draft
from actors.inventory.engine.grains import LATEST_MS, to_grains
from actors.inventory.engine.settle import FORESIGHT_MAX, next_step, settle, take_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.inventory.engine.state import State, Stream
    from actors.inventory.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Quote:
    """The terms of an order placed now.

    ``duration_ms`` is that of the whole order. ``affordable`` says whether the stocks cover
    ``cost`` now, ``affordable_at_ms`` when they first do if nothing else is ordered; None if
    never, or beyond what can be foreseen. ``missing`` are the prerequisites not met now, with
    the level or count needed.
    """

    asset: str
    kind: str
    level: int | None
    count: int | None
    cost: Mapping[str, int]
    duration_ms: int
    affordable: bool
    affordable_at_ms: int | None
    missing: Mapping[str, int]


def quote(state: State, ruleset: Ruleset, *, asset: str, count: int | None, now_ms: int) -> Quote:
    """Quote the order that `place_order` would place now, changing nothing.

    Raises UnknownAsset, InvalidCount, or MaxLevel, also for what could never be finished.
    """
    rules = find_asset(ruleset, asset)
    check_count(ruleset, rules, count)
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    level = next_level(draft.levels, draft.orders, rules)
    cost = price(ruleset, rules, level, count)
    duration_ms = ruleset.duration_ms(asset, level or 1, draft.levels) * (count or 1)
    check_time(asset, level, count, draft.at_ms + duration_ms)
    affordable = not draft.shortfall(cost)
    missing = ruleset.missing(asset, draft.levels, draft.units)
    return Quote(
        asset=asset,
        kind=rules.kind,
        level=level,
        count=count,
        cost=cost,
        duration_ms=duration_ms,
        affordable=affordable,
        affordable_at_ms=draft.at_ms if affordable else _affordable_at_ms(draft, cost),
        missing=missing,
    )


def _affordable_at_ms(draft: Draft, cost: Mapping[str, int]) -> int | None:
    """Return the first moment at which every stock covers ``cost``; walks ``draft`` there.

    Between two steps every stock rises, falls or rests, so the moments at which it suffices form
    one interval; the answer is the start of the first common one. Also None if so much changes
    until then that looking any further would cost more than `FORESIGHT_MAX`.
    """
    while True:
        step = next_step(draft, LATEST_MS)
        end_ms = LATEST_MS if step is None else step[0]
        found = _first_common_ms(draft, cost, end_ms)
        if found is not None or step is None or draft.effort > FORESIGHT_MAX:
            return found
        take_step(draft, *step)


def _first_common_ms(draft: Draft, cost: Mapping[str, int], end_ms: int) -> int | None:
    """Return when all stocks first suffice under the current flows, up to ``end_ms``."""
    earliest, latest = 0, end_ms - draft.at_ms
    moments = range(latest + 1)
    for stream in draft.flows.streams:
        name, _, ceiling = stream
        needed = to_grains(cost.get(name, 0))
        gain = _gain_after(draft, stream)
        here = draft.amounts[name]
        if here < needed:
            if needed > ceiling or here + gain(latest) < needed:
                return None
            earliest = max(earliest, bisect_left(moments, needed - here, key=gain))
        elif needed and gain(latest) < 0:
            if needed <= ceiling:  # held goods refill the stock until they are used up
                here += draft.held.get(name, 0)
            enough = bisect_right(moments, here - needed, key=lambda after: -gain(after))
            latest = min(latest, enough - 1)
    return draft.at_ms + earliest if earliest <= latest else None


def _gain_after(draft: Draft, stream: Stream) -> Callable[[int], int]:
    """Return what ``stream`` brings in a number of milliseconds; rises or falls throughout."""
    run, at_ms, per_hour = draft.run, draft.at_ms, stream.per_hour
    if run is None:
        return lambda after: per_hour * after
    return lambda after: run.gain(stream, at_ms, at_ms + after)
