"""From which moment on to look for what is due, by how the looks before came out; pure.

What was settled is in the database's index until it is vacuumed, which a backup or any other long
transaction keeps off: to read through all of it takes longer with every order that completes
meanwhile. So a look begins where everything before is settled.
"""

from __future__ import annotations

from typing import Final

WHOLE_MS: Final = 30_000
"""How often, in world time, a look begins with the earliest moment: a *whole* one."""
AGAIN_MS: Final = 10_000
"""How long each look is whole after one that was, and left something due."""
LATE_MS: Final = 10_000
"""How much later than its moment what is to come due may be written, and be found at once."""


class DueLooks:
    """Remembers up to which moment everything is settled, in milliseconds of world time.

    What was written for a moment long past, as the database was away, say, is found by the whole
    looks. Where one leaves something due, those of the next `AGAIN_MS` are whole too, and no more:
    an account that cannot be settled at all is tried at a third of the ticks, and does not have the
    others wait for reads through all that was settled. One that fails is not repeated at once.
    """

    __slots__ = ("_is_again", "_settled_to_ms", "_whole_ms", "left_ms")

    def __init__(self) -> None:
        self._settled_to_ms: int | None = None
        self._whole_ms: int | None = None
        self._is_again = False
        self.left_ms: int | None = None
        """The first moment of what the last whole look left due; None where it left nothing."""

    def begin(self, now_ms: int) -> int | None:
        """Begin a look; give the moment above which to look, None for a whole one."""
        is_again, self._is_again = self._is_again, False
        if self._whole_ms is None or now_ms >= self._whole_ms + WHOLE_MS:
            self._whole_ms = now_ms
            return None
        return None if is_again and now_ms < self._whole_ms + AGAIN_MS else self._settled_to_ms

    def end(self, now_ms: int, above_ms: int | None, first_ms: int | None, *, left: bool) -> None:
        """Note how the look of ``now_ms`` above ``above_ms`` came out; not told where it failed.

        ``first_ms`` is the moment of the first that it found, and ``left`` whether something is due
        still.
        """
        if above_ms is None:
            self._is_again = left
            self.left_ms = first_ms if left else None
        if above_ms is None or not left:
            self._settled_to_ms = now_ms - LATE_MS
