"""Freezing: a frozen account's clock stands still, and later resumes from where it stopped."""

from __future__ import annotations

import msgspec

from actors.inventory.engine.pending import Pending
from actors.inventory.engine.state import Events, State


def thaw(state: State, now_ms: int) -> tuple[State, Events]:
    """Move a state that stood still since ``state.at_ms`` to ``now_ms`` as if no time had passed.

    Stocks stay as they are; running orders finish later by as long as the freeze lasted. Goods
    held, orders queued and units delivered are untouched.
    """
    pause_ms = max(0, now_ms - state.at_ms)
    orders = tuple(
        order
        if order.starts_ms is None or order.finishes_ms is None
        else msgspec.structs.replace(
            order,
            starts_ms=order.starts_ms + pause_ms,
            finishes_ms=order.finishes_ms + pause_ms,
        )
        for order in state.orders
    )
    moved = tuple(new for new, old in zip(orders, state.orders, strict=True) if new is not old)
    thawed = msgspec.structs.replace(
        state, at_ms=state.at_ms + pause_ms, pending=Pending.of(orders)
    )
    return thawed, Events((), moved)
