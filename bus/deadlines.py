"""The deadlines of all callers waiting for a reply, kept by one task, not a cancel scope each.

A cancel scope costs more than the rest of an ask put together, and almost no ask needs one: the
answer comes long before the deadline. So each caller enters its deadline here and removes it when
done; the keeper sleeps until the first deadline still entered.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from bus.reply import PendingReply

    Lane: TypeAlias = dict[PendingReply[Any], float]


class Deadlines:
    """Waiting callers and their deadlines on Trio's clock; nothing is kept once a wait ends."""

    __slots__ = ("_first", "_lanes", "_scope")

    def __init__(self) -> None:
        # By timeout: entries with equal timeouts are in deadline order, and a dict keeps that
        # order as entries leave.
        self._lanes: dict[float, Lane] = {}
        self._first = inf
        self._scope: trio.CancelScope | None = None

    def enter(self, pending: PendingReply[Any], timeout_s: float, deadline: float) -> Lane | None:
        """Enter a reply as its wait begins; None if no task keeps the deadlines.

        When its wait ends, the caller removes it from the returned lane before anything else runs.
        """
        scope = self._scope
        if scope is None:
            return None
        lane = self._lanes.get(timeout_s)
        if lane is None:
            lane = self._lanes[timeout_s] = {}
        lane[pending] = deadline
        if deadline < self._first:
            self._first = scope.deadline = deadline
        return lane

    async def keep(self) -> None:
        """Wake each caller whose deadline has passed, until cancelled.

        At the end it wakes all of them, and each goes on waiting on its own.

        Raises:
            trio.BusyResourceError: another task keeps them.
        """
        if self._scope is not None:
            raise trio.BusyResourceError("another task keeps the deadlines of this bus")
        try:
            while True:
                self._first = self._time_out()
                with trio.CancelScope(deadline=self._first) as self._scope:
                    await trio.sleep_forever()
        finally:
            self._scope = None
            for lane in self._lanes.values():
                for pending in lane:
                    pending.look_again()

    def _time_out(self) -> float:
        """Time out every wait whose deadline has passed; return the next deadline."""
        now = trio.current_time()
        first = inf
        for timeout_s, lane in tuple(self._lanes.items()):
            if not lane:
                del self._lanes[timeout_s]
            for pending, deadline in lane.items():
                if deadline > now:
                    first = min(first, deadline)
                    break
                pending.time_out()
        return first
