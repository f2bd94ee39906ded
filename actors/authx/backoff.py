"""How long to leave an unreachable database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from actors.authx.settings import AuthxSettings


class Backoff:
    """A pause that doubles with each consecutive failure, up to a maximum."""

    __slots__ = ("_first_s", "_longest_s", "_retry_at", "failures")

    def __init__(self, settings: AuthxSettings) -> None:
        self._first_s = settings.reconnect_backoff_ms / 1000
        self._longest_s = settings.reconnect_backoff_max_ms / 1000
        self.failures = 0
        self._retry_at = -float("inf")

    def failed(self) -> None:
        """Begin, or prolong, the pause."""
        self._retry_at = trio.current_time() + min(
            self._longest_s, self._first_s * 2 ** min(self.failures, 30)
        )
        self.failures += 1

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures = 0

    @property
    def remaining_s(self) -> float:
        """The seconds left of the pause; 0 if it is over."""
        return max(0.0, self._retry_at - trio.current_time())
