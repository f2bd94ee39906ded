"""Batches of units that move rates: how far their effect can be foreseen in closed form.

Each delivery of such a unit (a satellite that gives energy, a soldier who eats) may change the
rates. While no factor of a balance changes, the effect of the units is proportional to their
number, rounded: a series, so that a batch of a million costs little more than one of ten. What
cannot be foreseen is walked delivery by delivery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from actors.inventory.engine.series import Part, Run, Series
from actors.inventory.ruleset.counts import is_foreseeable
from actors.inventory.ruleset.rates import factor_percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from actors.inventory.engine.draft import Draft
    from actors.inventory.engine.orders import Order
    from actors.inventory.engine.state import State, Stream
    from actors.inventory.ruleset import Ruleset
    from actors.inventory.ruleset.sheets import Effects, Flow

Owned: TypeAlias = "Draft | State"
"""What an account has: levels, units and the flows that follow from them."""

PERCENT: Final = 100

_RUN_EFFORT: Final = 4
"""What a batch adds to the effort of a closed-form step, in the unit of `FORESIGHT_MAX`."""

_SERIES_PER_EFFORT: Final = 4


def moves_rates(ruleset: Ruleset, asset: str) -> bool:
    """Return whether owning more of this unit changes any rate, capacity or balance."""
    return asset in ruleset.works.movers


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
    run = _run(draft, active)
    if run is None:
        return min(_first_ms(order) for order in active), None
    draft.effort += _RUN_EFFORT * len(active)
    end_ms = limit_ms + 1
    for stream in draft.flows.streams:
        end_ms = _first_turn(draft, run, stream, end_ms)
    end_ms = _first_imbalance(draft, active, run, end_ms)
    return (end_ms if end_ms <= limit_ms else None), run


def breaks_series(state: State, ruleset: Ruleset, movers: Sequence[Order], until_ms: int) -> bool:
    """Return whether deliveries of these batches by ``until_ms`` may have to be walked.

    So it is, like in `next_shift`, if they make no run, or if they change a factor: then each
    delivery may.
    """
    if _are_no_run(state, ruleset, movers):
        return True
    pushes = _pushes(state, ruleset, movers)
    return any(
        _changes_factor(state, ruleset, name, each, until_ms) for (name, _), each in pushes.items()
    )


def _effects(ruleset: Ruleset, asset: str) -> Effects:
    return ruleset.sheets[ruleset.assets[asset].name].effects


def _run(draft: Draft, orders: Sequence[Order]) -> Run | None:
    """Return the run that these batches make together, or None if they make none."""
    ruleset = draft.ruleset
    if _are_no_run(draft, ruleset, orders):
        return None
    return Run(
        tuple(
            Series(
                _first_ms(order),
                order.piece_ms,
                draft.units.get(order.asset, 0),
                _parts(draft, ruleset, order.asset),
            )
            for order in orders
        )
    )


def _are_no_run(owned: Owned, ruleset: Ruleset, orders: Sequence[Order]) -> bool:
    """Return whether these batches make no run together.

    Two batches of the same unit are two series only if a unit brings whole numbers: otherwise
    their fractions add up.
    """
    seen: set[str] = set()
    for order in orders:
        asset = order.asset
        if not is_foreseeable(ruleset, asset):
            return True
        if asset in seen and any(part.top % part.low for part in _parts(owned, ruleset, asset)):
            return True
        seen.add(asset)
    return False


def _parts(owned: Owned, ruleset: Ruleset, asset: str) -> tuple[Part, ...]:
    """Return what this unit brings under the current factors, rounded as the ruleset rounds it."""
    effects = _effects(ruleset, asset)
    balances = owned.flows.rates.balances
    percent = min((balances[name].factor_percent for name in effects.draws), default=PERCENT)
    parts: list[Part] = []
    for flow in effects.makes:
        numerator, denominator = flow.exact.at(0, owned.levels)
        parts.append(Part(flow.name, flow.sign, numerator * percent, denominator * PERCENT))
    return tuple(parts)


def _first_ms(order: Order) -> int:
    """Return when the next piece of a running order is finished."""
    return (order.starts_ms or 0) + (order.delivered + 1) * order.piece_ms


def _first_turn(draft: Draft, run: Run, stream: Stream, end_ms: int) -> int:
    """Return when a rate may first turn from growth to loss or back, at most ``end_ms``."""

    def may_turn(at_ms: int) -> bool:
        low, high = run.bounds(stream, at_ms)
        return low < 0 < high

    return _first_moment(draft, run, end_ms, may_turn)


def _first_imbalance(draft: Draft, orders: Sequence[Order], run: Run, end_ms: int) -> int:
    """Return when the batches together may first change a factor, at most ``end_ms``.

    A factor lies between its value with all deliveries that ease its balance and none that strain
    it, and the reverse; while neither differs from the current factor, it is unchanged.
    """
    ruleset = draft.ruleset
    pushes = _pushes(draft, ruleset, orders)

    def may_change(at_ms: int) -> bool:
        return any(
            _changes_factor(draft, ruleset, name, each, at_ms) for (name, _), each in pushes.items()
        )

    return _first_moment(draft, run, end_ms, may_change) if pushes else end_ms


def _pushes(
    owned: Owned, ruleset: Ruleset, orders: Iterable[Order]
) -> dict[tuple[str, bool], list[tuple[Order, Flow]]]:
    """Return, for each balance, the batches that ease it and those that strain it."""
    pushes: dict[tuple[str, bool], list[tuple[Order, Flow]]] = {}
    for order in orders:
        for flow in _effects(ruleset, order.asset).balance:
            eases = flow.exact.at(0, owned.levels)[0] > 0
            pushes.setdefault((flow.name, eases), []).append((order, flow))
    return pushes


def _changes_factor(
    owned: Owned,
    ruleset: Ruleset,
    balance: str,
    pushing: Iterable[tuple[Order, Flow]],
    at_ms: int,
) -> bool:
    """Return whether these batches alone would have changed the factor of a balance by then."""
    reading = owned.flows.rates.balances[balance]
    produced, used = reading.produced, reading.used
    more: dict[str, int] = {}
    for order, flow in pushing:
        # Among several batches of a unit, each counts from where the one before it leaves off.
        before = owned.units.get(order.asset, 0) + more.get(order.asset, 0)
        new = order.delivered_by(at_ms) - order.delivered
        more[order.asset] = more.get(order.asset, 0) + new
        change = flow.of(before + new, owned.levels, is_unit=True) - flow.of(
            before, owned.levels, is_unit=True
        )
        if change > 0:
            produced += change
        else:
            used -= change
    mode = ruleset.works.balances[balance]
    return factor_percent(produced, used, mode) != reading.factor_percent


def _first_moment(draft: Draft, run: Run, end_ms: int, happened: Callable[[int], bool]) -> int:
    """Return the first moment when something has ``happened``, at most ``end_ms``.

    Once it has happened it stays so, and it can only happen at a delivery. Doubling steps, then
    bisection down to one delivery of each batch, find near moments quickly.
    """
    probe_effort = 1 + len(run.series) // _SERIES_PER_EFFORT

    def counted(at_ms: int) -> bool:
        draft.effort += probe_effort
        return happened(at_ms)

    before = min(series.first_ms for series in run.series) - 1
    after = end_ms - 1
    if before >= after or not counted(after):
        return end_ms
    piece_ms = step = min(series.piece_ms for series in run.series)
    while before + step < after and not counted(before + step):
        before += step
        step *= 2
    after = min(after, before + step)
    while after - before > piece_ms:
        middle = (before + after) // 2
        if counted(middle):
            after = middle
        else:
            before = middle
    lasts = (series.last_ms(after) for series in run.series)
    moments = sorted({at_ms for at_ms in lasts if at_ms > before})
    return next((at_ms for at_ms in moments[:-1] if counted(at_ms)), moments[-1])
