"""A database that is away: asked again at growing pauses, and told of once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    import random

    from structlog.typing import FilteringBoundLogger

    from actors.storage.engine import EngineUnavailable

_BACKOFF_FIRST_S: Final = 0.05
_BACKOFF_MAX_S: Final = 1.0


class Absence:
    """The database as one worker knows it: away from a failure until it answers again.

    The first failure is a warning; what follows it, at pauses that grow to a second, is no news.
    """

    __slots__ = ("_log", "_pause_s", "_rng", "_since")

    def __init__(self, rng: random.Random, log: FilteringBoundLogger) -> None:
        self._rng = rng
        self._log = log
        self._pause_s = _BACKOFF_FIRST_S
        self._since: float | None = None

    async def wait(self, error: EngineUnavailable) -> None:
        """Wait before the database is asked again, twice as long as before, about."""
        if self._since is None:
            self._since = trio.current_time()
            self._log.warning("database_away", reason=str(error), in_doubt=error.in_doubt)
        else:
            self._log.debug("database_still_away", reason=str(error), in_doubt=error.in_doubt)
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _BACKOFF_MAX_S)
        await trio.sleep(pause_s * self._rng.uniform(0.5, 1.0))

    def end(self) -> None:
        """Take note of an answer."""
        if self._since is not None:
            seconds = trio.current_time() - self._since
            self._log.info("database_back", seconds=round(seconds, 1))
            self._pause_s = _BACKOFF_FIRST_S
            self._since = None
