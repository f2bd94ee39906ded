"""Long work in pieces: each turn of the event loop takes so much of it, then others have theirs."""

from __future__ import annotations

import trio


class Turns:
    """Counts work as it is done; after so much of it comes a checkpoint."""

    __slots__ = ("_done", "_most")

    def __init__(self, most: int) -> None:
        """Take about ``most`` of whatever is counted in one turn."""
        self._most = most
        self._done = 0

    async def worked(self, much: int = 1) -> None:
        """Count ``much`` more as done, and let others run where that completes a turn.

        Cancellation: only then; what was done before stands.
        """
        self._done += much
        if self._done >= self._most:
            self._done = 0
            await trio.lowlevel.checkpoint()
