"""How long a session lives, and its tokens with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from actors.authx.settings import AuthxSettings


class TokenLives(NamedTuple):
    """For how many whole seconds more the two tokens of a session are good, and its last moment.

    ``ends_at`` is None where a session lives for as long as it is refreshed.
    """

    access_s: int
    refresh_s: int
    ends_at: datetime | None


class Lifetimes:
    """The configured lifetimes; ``session_max_s`` is None where a session's has no limit.

    A session ends when it has not been refreshed for ``refresh_seconds``, and at the latest
    ``session_max_s`` after it began. Neither token is promised to outlive it.
    """

    def __init__(self, settings: AuthxSettings) -> None:
        self._token_s = settings.token_seconds
        self.session_max_s = settings.session_seconds_max
        longest_s = self.session_max_s or settings.refresh_seconds
        self._refresh_s = min(settings.refresh_seconds, longest_s)

    def expires_at(self, now: datetime) -> datetime:
        """Give when a session ends that begins now and is not refreshed."""
        return now + timedelta(seconds=self._refresh_s)

    def of_tokens(self, *, begun_at: datetime, now: datetime) -> TokenLives:
        """Give the lives of tokens handed out now, of a session that began at ``begun_at``."""
        if self.session_max_s is None:
            return TokenLives(self._token_s, self._refresh_s, None)
        ends_at = begun_at + timedelta(seconds=self.session_max_s)
        left_s = max(0, int((ends_at - now).total_seconds()))
        return TokenLives(min(self._token_s, left_s), min(self._refresh_s, left_s), ends_at)
