"""Turns to hash a password: as many at once as there are threads, operators first.

Operators do not wait behind a crowd of players. But anybody who knows an operator's name can use
it, so while others wait, operators get at most one turn in four.
"""

from __future__ import annotations

from typing import Final

import trio

OTHERS_BETWEEN: Final = 3
"""How many other waiting tasks get a turn between two operators."""

_WEIGHT: Final = 0.125
"""The weight of the latest turn in the moving average of how long one takes."""


class HashTurns:
    """A fixed number of turns; one that ends passes to a waiting task, first come, first served."""

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
        """How many turns are free; if any is, nobody waits."""
        return self._free

    async def begin(self, *, operator: bool) -> None:
        """Wait for a turn, which the caller must `end`; if cancelled, it has none."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._free:
            self.begin_nowait(operator=operator)
            return
        # A task woken here has its turn: from then on no cancellation reaches it here.
        await (self._operators if operator else self._others).park()

    def begin_nowait(self, *, operator: bool = False) -> None:
        """Take a turn that is `free`."""
        self._free -= 1
        self._count(operator=operator)

    def end(self, seconds: float | None = None) -> None:
        """Pass a turn to a waiting task, or free it; never waits.

        ``seconds`` is how long it took, None if no work was done in it.
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
        """Estimate how long this many turns take, from how long the latest ones took."""
        return turns * self._seconds / self._workers

    def _count(self, *, operator: bool) -> None:
        self._others_since = 0 if operator else self._others_since + 1
