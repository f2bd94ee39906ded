"""How long a session and its tokens live."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from actors.authx.settings import AuthxSettings


def ends_at(limit: str, sessions: str = "sessions") -> str:
    """Return the SQL of when a row of ``sessions``, by its name in the query, ends.

    That is at ``expires_at``, and at the latest as many seconds after it began as the parameter
    ``limit`` says; null is no limit, since `least` ignores nulls.
    """
    longest = f"{sessions}.created_at + {limit}::bigint * interval '1 second'"
    return f"least({sessions}.expires_at, {longest})"


class TokenLives(NamedTuple):
    """How many whole seconds a session's two tokens remain valid, and when the session ends.

    ``ends_at`` is None if a session lives for as long as it is refreshed.
    """

    access_s: int
    refresh_s: int
    ends_at: datetime | None


class Lifetimes:
    """The configured lifetimes; ``session_max_s`` is None if a session's has no limit.

    A session ends when it has not been refreshed for ``refresh_seconds``, and at the latest
    ``session_max_s`` after it began. Neither token is promised to outlive it.
    """

    def __init__(self, settings: AuthxSettings) -> None:
        self._token_s = settings.token_seconds
        self.session_max_s = settings.session_seconds_max
        longest_s = self.session_max_s or settings.refresh_seconds
        self._refresh_s = min(settings.refresh_seconds, longest_s)

    def expires_at(self, now: datetime) -> datetime:
        """Return when a session that begins now ends if it is not refreshed."""
        return now + timedelta(seconds=self._refresh_s)

    def of_tokens(self, *, begun_at: datetime, now: datetime) -> TokenLives:
        """Return the lifetimes of tokens issued now for a session that began at ``begun_at``."""
        if self.session_max_s is None:
            return TokenLives(self._token_s, self._refresh_s, None)
        ends_at = begun_at + timedelta(seconds=self.session_max_s)
        left_s = max(0, int((ends_at - now).total_seconds()))
        return TokenLives(min(self._token_s, left_s), min(self._refresh_s, left_s), ends_at)
