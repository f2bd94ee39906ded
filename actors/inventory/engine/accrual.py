"""Closed-form production over a span in which no rate changes.

A stock below its ceiling grows to exactly the ceiling and no further; a stock at or above it does
not grow, and nothing is taken away; a negative rate stops at zero. Taken over two parts of a span,
each of these steps gives the same as over the whole, so the moment of a reading never matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.inventory.engine.state import Stream


def accrue(
    amounts: Mapping[str, int], streams: Iterable[Stream], elapsed_ms: int
) -> dict[str, int]:
    """Return the stocks, in grains, after ``elapsed_ms`` of these streams."""
    result: dict[str, int] = {}
    for name, per_hour, ceiling in streams:
        amount = amounts[name]
        if per_hour > 0:
            if amount < ceiling:
                amount = min(amount + per_hour * elapsed_ms, ceiling)
        elif per_hour < 0:
            amount = max(amount + per_hour * elapsed_ms, 0)
        result[name] = amount
    return result


def drain_held(
    before: Mapping[str, int],
    after: dict[str, int],
    held: Mapping[str, int],
    streams: Iterable[Stream],
    elapsed_ms: int,
) -> dict[str, int]:
    """Return what is still held after a span; refill ``after`` where consumption made room.

    Something is held only while its stock is at or above the ceiling. Under a negative rate the
    stock first falls to the ceiling, then stays there while the held part is used up, then falls.
    """
    rest: dict[str, int] = {}
    for name, per_hour, ceiling in streams:
        waiting = held.get(name, 0)
        if not waiting:
            continue
        lowered = before[name] + per_hour * elapsed_ms
        if lowered < ceiling:
            total = max(0, lowered + waiting)
            after[name] = min(total, ceiling)
            waiting = total - after[name]
        if waiting:
            rest[name] = waiting
    return rest
