"""Settling: from one moment to a later one, completing what is due on the way.

Rates change only when a level rises or a unit that moves rates is delivered, so a span is walked
from one such moment to the next, in (due time, sequence), and is closed-form in between. The cost
depends on the number of those moments, never on the length of the span or the size of a batch.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from actors.inventory.engine.accrual import accrue, drain_held
from actors.inventory.engine.batches import breaks_series, moves_rates, next_shift
from actors.inventory.engine.draft import Draft
from actors.inventory.engine.orders import UNIT, Order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.inventory.engine.state import Events, State
    from actors.inventory.ruleset import Ruleset

DELIVERIES_PER_SETTLE: Final = 256
"""Deliveries of units that move rates after which a record is touched (bounds one settle).

Of those that must be walked fewer under a large ruleset, and of all batches together: each derives
the rates anew, and every reading in between walks all that came since the record was touched."""

_SIDE_BY_SIDE_MAX: Final = 10
"""Batches that may each have that many: with more, deliveries are both dearer and more numerous."""

FORESIGHT_MAX: Final = 12_000
"""Maximum cost of one forecast, in probes of a run; some 3 microseconds each."""

_STEP_EFFORT: Final = 5
_ORDERS_PER_EFFORT: Final = 10

_FINISHES_MS: Final = attrgetter("finishes_ms")


def advance(state: State, ruleset: Ruleset, now_ms: int) -> tuple[State, Events]:
    """Settle to ``now_ms``, completing all that is due by then, at its due time.

    The result does not depend on the intermediate moments: advancing to t1 and then to t2 gives
    the same state as advancing to t2, except for ``seq``, since a span settled in two parts has
    its production entered in two parts. A moment before ``state.at_ms`` changes nothing.
    """
    draft = Draft(state, ruleset)
    settle(draft, now_ms)
    return draft.close()


def glimpse(state: State, ruleset: Ruleset, now_ms: int) -> State:
    """Return what `advance` returns, for showing alone: its ``seq`` means nothing.

    Nobody keeps the result, so not everything is entered in the ledger.
    """
    if now_ms <= state.at_ms:
        return state
    draft = Draft(state, ruleset)
    _walk(draft, now_ms)
    return draft.close()[0]


def settle(draft: Draft, now_ms: int) -> None:
    """Bring ``draft`` to ``now_ms`` and enter everything that happened."""
    if now_ms > draft.at_ms:
        _walk(draft, now_ms)
        draft.enter_landed()
        draft.enter_amounts("production")


def _walk(draft: Draft, now_ms: int) -> None:
    """Bring ``draft`` to ``now_ms``, without entering what happened since the last step."""
    if now_ms < draft.pending.quiet_until_ms:
        accrue_until(draft, now_ms)
        return
    step = next_step(draft, now_ms)
    while step is not None:
        take_step(draft, *step)
        step = next_step(draft, now_ms)
    accrue_until(draft, now_ms)
    deliver_until(draft, now_ms)


def foresee(state: State, ruleset: Ruleset, at_ms: int) -> tuple[State, int]:
    """Return the state as it will be at ``at_ms``, and the moment up to which all was followed.

    If following all changes until ``at_ms`` would cost more than `FORESIGHT_MAX`, that moment is
    earlier, and the state is useless.
    """
    draft = Draft(state, ruleset)
    reached_ms = draft.at_ms
    step = next_step(draft, at_ms)
    while step is not None:
        if draft.effort > FORESIGHT_MAX:
            return draft.close()[0], reached_ms
        reached_ms = draft.at_ms
        take_step(draft, *step)
        step = next_step(draft, at_ms)
    settle(draft, at_ms)
    return draft.close()[0], at_ms


def next_due_ms(state: State, ruleset: Ruleset) -> int | None:
    """Return when the stored record must next be touched, or None while nothing runs.

    That is the next completion of an order. Units of a batch are delivered by any touch in
    between and need none of their own, except that a batch that moves rates is touched every
    `DELIVERIES_PER_SETTLE` deliveries, to keep each settle short; sooner if many of them run
    side by side, since each of their deliveries may have to look at all of them. If deliveries
    until then must be walked, it is touched after that many of all batches together, sooner if
    the ruleset is large.
    """
    running = state.pending.running
    if not running:
        return None
    finish_ms: int = min(map(_FINISHES_MS, running))
    movers = _movers(running, ruleset)
    if not movers:
        return finish_ms
    crowd = max(1, len(movers) / _SIDE_BY_SIDE_MAX)
    pieces = DELIVERIES_PER_SETTLE / crowd**2
    due_ms = min(finish_ms, _touch_ms(movers, pieces))
    dearer = len(movers) * ruleset.works.weight
    if dearer > 1 and breaks_series(state, ruleset, movers, due_ms):
        due_ms = min(finish_ms, _touch_ms(movers, pieces / dearer))
    return due_ms


def _touch_ms(movers: Iterable[Order], pieces: float) -> int:
    """Return when the first of these batches has delivered so many more, at least one."""
    more = max(1, int(pieces))
    return min(
        [(order.starts_ms or 0) + (order.delivered + more) * order.piece_ms for order in movers]
    )


def is_shifting(state: State, ruleset: Ruleset) -> bool:
    """Whether a batch under way may change rates before anything is due."""
    return bool(_movers(state.pending.running, ruleset))


def next_step(draft: Draft, limit_ms: int) -> tuple[int, Order | None] | None:
    """Return the next moment by ``limit_ms`` when rates may change or a slot becomes free.

    With it comes the order that completes then, or None for a delivery in mid-batch.
    """
    running = draft.pending.running
    # Of orders that complete at the same moment, the one with the lowest sequence comes first.
    first = min(running, key=_FINISHES_MS, default=None)
    due_ms = limit_ms if first is None or first.finishes_ms is None else first.finishes_ms
    if due_ms > limit_ms:
        first, due_ms = None, limit_ms
    movers = _movers(running, draft.ruleset)
    draft.run = None
    if movers:
        shift_ms, draft.run = next_shift(draft, movers, due_ms)
        if shift_ms is not None:
            return shift_ms, None
    return None if first is None else (due_ms, first)


def _movers(running: Iterable[Order], ruleset: Ruleset) -> list[Order]:
    """Return the running batches whose units move rates."""
    movers = ruleset.works.movers
    return [order for order in running if order.asset in movers and order.kind == UNIT]


def take_step(draft: Draft, due_ms: int, order: Order | None) -> None:
    """Carry out what `next_step` announced."""
    accrue_until(draft, due_ms)
    deliver_until(draft, due_ms)
    draft.effort += _STEP_EFFORT * draft.ruleset.works.weight
    draft.effort += len(draft.orders) // _ORDERS_PER_EFFORT
    if order is None:
        return
    if order.kind == UNIT:
        last = draft.pending.get(order.seq)
        draft.close_order(msgspec.structs.replace(last, state="completed"))
    else:
        draft.enter_landed()
        draft.enter_amounts("production")
        draft.close_order(msgspec.structs.replace(order, state="completed"))
        draft.raise_level(order)
        draft.reflow()
        draft.release_held()
    draft.start_waiting(order.queue)


def accrue_until(draft: Draft, at_ms: int) -> None:
    """Let the current flows run up to ``at_ms``."""
    elapsed_ms = at_ms - draft.at_ms
    streams = draft.flows.streams
    if draft.run is not None:
        streams = draft.run.totals(streams, draft.at_ms, at_ms)
        elapsed_ms = 1
    draft.at_ms = at_ms
    amounts = accrue(draft.amounts, streams, elapsed_ms)
    if draft.held:
        draft.held = drain_held(draft.amounts, amounts, draft.held, streams, elapsed_ms)
    draft.amounts = amounts


def deliver_until(draft: Draft, at_ms: int) -> None:
    """Hand over every unit that is finished by ``at_ms``."""
    moved = False
    for order in draft.pending.running:
        if order.count is None or order.starts_ms is None:
            continue
        if order.starts_ms + (order.delivered + 1) * order.piece_ms > at_ms:
            continue
        delivered = order.delivered_by(at_ms)
        if delivered > order.delivered:
            draft.land(order, delivered, order.starts_ms + delivered * order.piece_ms)
            moved = moved or moves_rates(draft.ruleset, order.asset)
    if moved:
        draft.reflow()
        draft.release_held()
