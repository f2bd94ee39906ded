"""Where in world time each look for due accounts begins, given the earlier looks; pure.

Settled entries stay in the database's index until it is vacuumed, which a backup or any other long
transaction delays: reading through all of them takes longer with every order that completes
meanwhile. So a look begins at the moment before which everything is settled.
"""

from __future__ import annotations

from typing import Final

WHOLE_MS: Final = 30_000
"""How often, in world time, a look begins with the earliest moment: a *whole* one."""
AGAIN_MS: Final = 10_000
"""For how long each look stays whole after a whole one that left something due."""
LATE_MS: Final = 10_000
"""How long after its moment a due entry may still be written and yet be found at once."""


class DueLooks:
    """Remembers up to which moment everything is settled, in milliseconds of world time.

    Entries written for a moment long past, for example after the database was away, are found by
    the whole looks. If one leaves something due, those of the next `AGAIN_MS` are whole too, and no
    more: an account that cannot be settled at all is tried at a third of the ticks, without making
    the others wait for reads through all that was settled. A failed one is not repeated at once.
    """

    __slots__ = ("_is_again", "_settled_to_ms", "_whole_ms", "left_ms")

    def __init__(self) -> None:
        self._settled_to_ms: int | None = None
        self._whole_ms: int | None = None
        self._is_again = False
        self.left_ms: int | None = None
        """The first moment of what the last whole look left due; None if it left nothing."""

    def begin(self, now_ms: int) -> int | None:
        """Begin a look; return the moment above which to look, None for a whole one."""
        is_again, self._is_again = self._is_again, False
        if self._whole_ms is None or now_ms >= self._whole_ms + WHOLE_MS:
            self._whole_ms = now_ms
            return None
        return None if is_again and now_ms < self._whole_ms + AGAIN_MS else self._settled_to_ms

    def end(self, now_ms: int, above_ms: int | None, first_ms: int | None, *, left: bool) -> None:
        """Record how the look of ``now_ms`` above ``above_ms`` ended; not called if it failed.

        ``first_ms`` is the moment of the first entry it found; ``left`` says whether something is
        still due.
        """
        if above_ms is None:
            self._is_again = left
            self.left_ms = first_ms if left else None
        if above_ms is None or not left:
            self._settled_to_ms = now_ms - LATE_MS
