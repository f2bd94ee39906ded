"""Whose turn it is to hash a password: as many at once as there are threads, operators first.

Operators do not wait behind a crowd of players. But whoever knows an operator's name can come
under it, so that where others wait operators get one turn of four at most.
"""

from __future__ import annotations

from typing import Final

import trio

OTHERS_BETWEEN: Final = 3
"""How many others who wait have a turn between two operators."""

_WEIGHT: Final = 0.125
"""What the latest turn counts for in how long one takes."""


class HashTurns:
    """So many turns at a time; whoever waits is given one that ends, in the order of coming."""

    __slots__ = ("_free", "_operators", "_others", "_others_since", "_seconds", "_workers")

    def __init__(self, workers: int) -> None:
        """Let ``workers`` hash at once."""
        self._workers = self._free = workers
        self._operators = trio.lowlevel.ParkingLot()
        self._others = trio.lowlevel.ParkingLot()
        self._others_since = OTHERS_BETWEEN
        self._seconds = 0.0

    @property
    def free(self) -> int:
        """How many could begin at once; where that is more than 0 nobody waits."""
        return self._free

    async def begin(self, *, operator: bool) -> None:
        """Wait for a turn; whoever has got one owes `end`, who is cancelled has none."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._free:
            self.begin_nowait(operator=operator)
            return
        # Who is woken here has been given a turn, and is not cancelled any more.
        await (self._operators if operator else self._others).park()

    def begin_nowait(self, *, operator: bool = False) -> None:
        """Take a turn that is `free`."""
        self._free -= 1
        self._count(operator=operator)

    def end(self, seconds: float | None = None) -> None:
        """Give a turn back, or to who waits; it has taken so many seconds, if it was one of work.

        Never waits.
        """
        if seconds is not None:
            self._seconds += (seconds - self._seconds) * (_WEIGHT if self._seconds else 1.0)
        is_operators = bool(self._operators) and (
            self._others_since >= OTHERS_BETWEEN or not self._others
        )
        waiting = self._operators if is_operators else self._others
        if waiting:
            self._count(operator=is_operators)
            waiting.unpark()
        else:
            self._free += 1

    def seconds_for(self, turns: int) -> float:
        """Estimate how long so many turns take, from how long the latest ones took."""
        return turns * self._seconds / self._workers

    def _count(self, *, operator: bool) -> None:
        self._others_since = 0 if operator else self._others_since + 1
