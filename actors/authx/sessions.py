"""Live sessions in memory: what an access token needs besides itself to be valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.authx.errors import InvalidToken
from actors.authx.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.authx.messages import Identity
    from actors.authx.tokens import Claims


@dataclass(frozen=True, slots=True)
class SessionState:
    """A live session: whose it is, with the account's current role, and until when."""

    identity: Identity
    expires_at: datetime

    def identify(self, claims: Claims, now: datetime) -> Identity:
        """Return the identity behind a verified token of this session.

        Raises:
            InvalidToken: the session has expired, or is another account's.
        """
        if now >= self.expires_at or claims.sub != self.identity.account_id:
            raise InvalidToken
        return self.identity


class SessionCache(Remembered[SessionState]):
    """At most ``sessions_max`` session states by the session's id, most recently used.

    ``on_drop`` is called with the id of each session or account that was dropped because it
    changed, whether or not anything of it was cached.
    """

    __slots__ = ("_on_drop",)

    def __init__(self, sessions_max: int, *, on_drop: Callable[[str], None] | None = None) -> None:
        super().__init__(sessions_max, _names_of)
        self._on_drop = on_drop

    def drop(self, key: str) -> None:
        """Forget a session that has ended."""
        super().drop(key)
        self._dropped(key)

    def drop_account(self, account_id: str) -> None:
        """Forget every session of an account that has changed."""
        super().drop_account(account_id)
        self._dropped(account_id)

    def _dropped(self, subject_id: str) -> None:
        if self._on_drop is not None:
            self._on_drop(subject_id)


def _names_of(state: SessionState) -> tuple[str, str]:
    return state.identity.session_id, state.identity.account_id
