"""How often a password may be tried for one user within a window of time.

Pure: the caller brings the time. A window begins with its first attempt and ends on its own,
refused attempts do not prolong it, and a success clears it: whoever is attacked waits at most
one window, and sessions that are open already are not touched at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from actors.authx.errors import TooManyAttempts


@dataclass(slots=True)
class _Window:
    """The attempts of one user since ``started_s``."""

    started_s: float
    attempts: int = 0


class AttemptLimit:
    """At most ``attempts_max`` attempts per user in any one window of ``window_seconds``.

    Memory is bounded: of more than ``users_max`` users, the window that began first is given up.
    """

    __slots__ = ("_attempts_max", "_users_max", "_window_seconds", "_windows")

    def __init__(self, *, attempts_max: int, window_seconds: float, users_max: int) -> None:
        self._attempts_max = attempts_max
        self._window_seconds = window_seconds
        self._users_max = users_max
        self._windows: dict[str, _Window] = {}  # in the order of their beginnings

    def begin(self, user: str, now_s: float) -> None:
        """Count an attempt before it is made, so that a burst of them cannot slip through.

        Raises:
            TooManyAttempts: this window's attempts are used up; says when it ends.
        """
        self._drop_ended(now_s)
        window = self._windows.get(user)
        if window is None:
            if len(self._windows) >= self._users_max:
                del self._windows[next(iter(self._windows))]
            window = self._windows[user] = _Window(now_s)
        if window.attempts >= self._attempts_max:
            left_s = window.started_s + self._window_seconds - now_s
            raise TooManyAttempts(max(1, math.ceil(left_s)))
        window.attempts += 1

    def succeeded(self, user: str) -> None:
        """Forget the attempts of a user who has just proved to know the password."""
        self._windows.pop(user, None)

    def withdraw(self, user: str) -> None:
        """Take back an attempt that came to no verdict, such as by a lost database."""
        window = self._windows.get(user)
        if window is not None and window.attempts > 0:
            window.attempts -= 1

    def __len__(self) -> int:
        """Tell how many users have a window now."""
        return len(self._windows)

    def _drop_ended(self, now_s: float) -> None:
        while self._windows:
            user, window = next(iter(self._windows.items()))
            if window.started_s + self._window_seconds > now_s:
                return
            del self._windows[user]
