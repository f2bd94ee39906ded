"""How many logins there were, by outcome."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.authx.errors import InvalidCredentials, TooManyAttempts
from actors.database.errors import DatabaseError
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True, slots=True)
class LoginStatistics:
    """Outcomes of logins since Authx was made.

    ``accepted``: a session was opened. ``refused``: unknown user, wrong password or a suspended
    account. ``throttled``: too many attempts. ``overloaded``: too many wait for a hash thread, in
    all or from one address, or its turn came too late. ``failed``: the database was away or
    failed.
    """

    accepted: int
    refused: int
    throttled: int
    overloaded: int
    failed: int


class LoginCounters:
    """Counts logins as they end; survives restarts of the actor."""

    __slots__ = ("_accepted", "_failed", "_overloaded", "_refused", "_throttled")

    def __init__(self) -> None:
        self._accepted = self._refused = self._throttled = self._overloaded = self._failed = 0

    @contextmanager
    def counted(self) -> Generator[None]:
        """Count the login carried out inside by its outcome; propagates its errors.

        A cancelled one, or one that fails in an unforeseen way, is not counted.
        """
        try:
            yield
        except InvalidCredentials:
            self._refused += 1
            raise
        except TooManyAttempts:
            self._throttled += 1
            raise
        except Overloaded:
            self._overloaded += 1
            raise
        except DatabaseError:
            self._failed += 1
            raise
        self._accepted += 1

    def overloaded(self) -> None:
        """Count a login that was refused before it began."""
        self._overloaded += 1

    def statistics(self) -> LoginStatistics:
        """Return the counts."""
        return LoginStatistics(
            accepted=self._accepted,
            refused=self._refused,
            throttled=self._throttled,
            overloaded=self._overloaded,
            failed=self._failed,
        )
