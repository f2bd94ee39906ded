"""Long work in pieces: each turn of the event loop does a bounded amount, then others run."""

from __future__ import annotations

import trio


class Turns:
    """Counts work as it is done, with a checkpoint after each turn's share."""

    __slots__ = ("_done", "_most")

    def __init__(self, most: int) -> None:
        """Allow about ``most`` counted units in one turn."""
        self._most = most
        self._done = 0

    async def worked(self, much: int = 1) -> None:
        """Count ``much`` more as done, and let others run if that completes a turn.

        Cancellation: only then; the work done before stands.
        """
        self._done += much
        if self._done >= self._most:
            self._done = 0
            await trio.lowlevel.checkpoint()
