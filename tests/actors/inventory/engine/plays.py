"""Random plays: what an owner might do, and when; drawn by Hypothesis."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from actors.inventory.engine import advance, cancel_order, grant, place_order
from actors.inventory.errors import InventoryError

if TYPE_CHECKING:
    from actors.inventory.engine import Events, State
    from actors.inventory.ruleset import Ruleset

ASSETS = (
    "mine",
    "plant",
    "field:1",
    "field:2",
    "well",
    "store",
    "burner",
    "optics",
    "refining",
)
UNITS = ("scout", "satellite", "soldier", "digger", "courier", "barge")


class Move(NamedTuple):
    """Wait, then order ``pieces`` of ``asset``, or cancel the ``cancel``-th pending order."""

    wait_ms: int
    asset: str
    pieces: int | None
    cancel: int | None


def moves(*, unit_ms: int = 1, longest: int = 200_000) -> st.SearchStrategy[Move]:
    """Draw a move after a wait that is a multiple of ``unit_ms``."""
    wait = st.integers(0, longest // unit_ms).map(lambda n: n * unit_ms)
    level = st.builds(Move, wait, st.sampled_from(ASSETS), st.none(), st.none())
    batch = st.builds(Move, wait, st.sampled_from(UNITS), st.integers(1, 60), st.none())
    cancel = st.builds(Move, wait, st.just("mine"), st.none(), st.integers(0, 5))
    return st.one_of(level, batch, batch, cancel)


def play(state: State, rules: Ruleset, move: Move, number: int) -> tuple[State, list[Events]]:
    """Make the move; a refusal leaves the state settled to its moment."""
    now_ms = state.at_ms + move.wait_ms
    try:
        if move.cancel is not None:
            settled, events = advance(state, rules, now_ms)
            if not settled.orders:
                return settled, [events]
            chosen = settled.orders[move.cancel % len(settled.orders)].id
            after, more, _ = cancel_order(settled, rules, order_id=chosen, now_ms=now_ms)
            return after, [events, more]
        after, events = place_order(
            state,
            rules,
            order_id=f"order-{number}",
            asset=move.asset,
            count=move.pieces,
            now_ms=now_ms,
        )
    except InventoryError:
        after, events = advance(state, rules, now_ms)
    return after, [events]


def enrich(state: State, rules: Ruleset) -> State:
    """Return a state with enough of everything to keep a play going."""
    changes = {"metal": 1200, "crystal": 900, "mine": 2, "plant": 2, "field:1": 1, "well": 1}
    return grant(state, rules, changes=changes, now_ms=state.at_ms, cause="grant")[0]
