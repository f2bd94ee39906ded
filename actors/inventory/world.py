"""World time as the inventories know it: what the last tick said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from actors.ticker import Tick


class WorldTime:
    """The latest tick; one object is shared by the manager, who sets it, and the inventories."""

    __slots__ = ("_changed", "now_ms", "tick")

    def __init__(self, tick: int, now_ms: int) -> None:
        self.tick = tick
        self.now_ms = now_ms
        self._changed = trio.lowlevel.ParkingLot()

    def set(self, tick: Tick) -> None:
        """Take over a tick; the clock never goes back."""
        if tick.tick > self.tick:
            self.tick = tick.tick
            self.now_ms = tick.now_ms
            self._changed.unpark_all()

    async def wait_changed(self) -> None:
        """Wait for the next tick: the next one from now on, whatever came before."""
        await self._changed.park()
