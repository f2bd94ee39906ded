"""World time as the inventories know it: the content of the last tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from actors.ticker import Tick


class WorldTime:
    """The latest tick: one object, set by the manager and shared with the inventories."""

    __slots__ = ("_changed", "now_ms", "tick")

    def __init__(self, tick: int, now_ms: int) -> None:
        self.tick = tick
        self.now_ms = now_ms
        self._changed = trio.lowlevel.ParkingLot()

    def set(self, tick: Tick) -> None:
        """Adopt a tick; the clock never goes back."""
        if tick.tick > self.tick:
            self.tick = tick.tick
            self.now_ms = tick.now_ms
            self._changed.unpark_all()

    async def wait_changed(self) -> None:
        """Wait for the next tick from now on, ignoring any before."""
        await self._changed.park()
