"""The deadlines of all who wait for a reply, kept by one task instead of a cancel scope each.

A cancel scope costs more than all the rest of a question, and almost no question needs it: it is
answered long before. So whoever waits writes down until when, and strikes that out again; the
keeper sleeps until the first deadline that was not struck out.
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
    """Who waits, and until when by Trio's clock; nothing is kept of those who wait no longer."""

    __slots__ = ("_first", "_lanes", "_scope")

    def __init__(self) -> None:
        # By timeout: those who wait equally long are in the order of their deadlines, and a dict
        # keeps that order while any of them leaves.
        self._lanes: dict[float, Lane] = {}
        self._first = inf
        self._scope: trio.CancelScope | None = None

    def enter(self, pending: PendingReply[Any], timeout_s: float, deadline: float) -> Lane | None:
        """Enter who begins to wait; None where nobody keeps the deadlines.

        Whoever waits no longer deletes itself from what this returns, before anything else runs.
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
        """Wake those whose deadline has passed, until cancelled.

        At the end everyone is woken, to wait on by itself.

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
        """Time out everyone whose deadline has passed; return the first deadline to come."""
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
