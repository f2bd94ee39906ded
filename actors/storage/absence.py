"""An absent database: retried at growing intervals, and reported once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    import random

    from structlog.typing import FilteringBoundLogger

    from actors.storage.engine import EngineUnavailable

_BACKOFF_FIRST_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0
_ANOTHER_S: Final = 60.0
"""More than a pause plus a statement's time limit."""


class Absence:
    """The database as one worker knows it: away from a failure until it answers again.

    The first failure is logged as a warning; those that follow, at pauses that grow to a second,
    are not. An idle worker does not ask: a failure long after the last counts as a new first one.
    """

    __slots__ = ("_began", "_failed", "_log", "_pause_s", "_rng")

    def __init__(self, rng: random.Random, log: FilteringBoundLogger) -> None:
        self._rng = rng
        self._log = log
        self._pause_s = _BACKOFF_FIRST_S
        self._began: float | None = None
        self._failed = 0.0

    async def wait(self, error: EngineUnavailable) -> None:
        """Wait before the database is asked again, about twice as long as the last time."""
        now = trio.current_time()
        if self._began is None or now - self._failed > _ANOTHER_S:
            self._began = now
            self._pause_s = _BACKOFF_FIRST_S
            self._log.warning("database_away", reason=str(error), in_doubt=error.in_doubt)
        else:
            self._log.debug("database_still_away", reason=str(error), in_doubt=error.in_doubt)
        self._failed = now
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _BACKOFF_MAX_S)
        await trio.sleep(pause_s * self._rng.uniform(0.5, 1.0))

    def end(self) -> None:
        """Record an answer; the duration of the absence runs to the last failure."""
        if self._began is not None:
            seconds = self._failed - self._began
            self._log.info("database_back", seconds=round(seconds, 1))
            self._pause_s = _BACKOFF_FIRST_S
            self._began = None
