"""How soon a password may be tried again after failures: by whom, from where, and both together.

Pure: the caller brings the time. Three counts are kept, each within a window that begins with its
first failure and ends on its own. After a few failures that cost nothing each further attempt
waits 1 s, 2 s, 4 s, … from the last one, up to a longest delay:

- **a user from an address**: who guesses one password from one place;
- **an address**: who tries one password on many users from one place;
- **a user from anywhere**: who guesses one password from many places. This count alone refuses
  nobody: it makes each address that has failed at the user wait as long as the count says, from
  its own last failure on.

So nobody locks a user out from elsewhere: an address that has not failed is always heard once, and
after a mistake it waits at most the longest delay, which nobody else's attempts prolong. Only who
comes from the attacker's own address waits as he does, and sessions that are open are not touched.

Registrations have a count of their own, by address: each of them costs a hash as a login does, so
all are counted, also those of a name that is taken, and delayed in the same way.

An operator who logs in has a place and a turn of his own among those who wait to be hashed
(`Passwords.reserve`), but only where nearly nobody has failed: from an address with fewer than
`FAILURES_FEW` failures at all names together. Whoever tries many names to see which are
operators', or hammers one, soon waits with everybody else.

What came to no verdict, such as by a lost database, is taken back, and prolongs no delay either,
unless another attempt has come in between.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from actors.authx.errors import TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Hashable

    from actors.authx.settings import AuthxSettings

K = TypeVar("K", bound="Hashable")

_EXPONENT_MAX = 30
"""Beyond it a doubled delay is longer than any window."""

FAILURES_FEW: Final = 3
"""From so many failures of an address on, an operator's name brings no advantage there."""


@dataclass(slots=True)
class _Window:
    """The failures of one key since ``started_s``: the last at ``last_s``, after ``before_s``."""

    started_s: float
    before_s: float
    last_s: float
    failures: int = 0


class _Failures(Generic[K]):
    """Failures by key, of which ``free`` cost no delay.

    Memory is bounded: of more than ``keys_max`` keys, the window that began first is given up.
    """

    __slots__ = ("_delay_s_max", "_free", "_keys_max", "_window_s", "_windows")

    def __init__(self, free: int, settings: AuthxSettings) -> None:
        self._free = free
        self._delay_s_max = settings.attempt_delay_max_seconds
        self._window_s = settings.attempt_window_seconds
        self._keys_max = settings.attempt_keys_max
        self._windows: OrderedDict[K, _Window] = OrderedDict()  # in the order of their beginnings

    def __len__(self) -> int:
        return len(self._windows)

    def delay_s(self, key: K) -> float:
        """Give how long an attempt has to be after the last one; 0 where that does not matter."""
        window = self._windows.get(key)
        if window is None or window.failures < self._free:
            return 0.0
        doublings = min(window.failures - self._free, _EXPONENT_MAX)
        return min(float(2**doublings), self._delay_s_max)

    def wait_s(self, key: K, now_s: float, delay_s: float) -> float:
        """Give how long it is until ``delay_s`` after the last failure, or the window's end."""
        window = self._windows.get(key)
        if window is None:
            return 0.0
        wait_s = min(window.last_s + delay_s, window.started_s + self._window_s) - now_s
        # A sum of floats may have been rounded up, and the caller rounds to whole seconds.
        return min(wait_s, delay_s)

    def add(self, key: K, now_s: float) -> None:
        """Count a failure."""
        window = self._windows.get(key)
        if window is None:
            if len(self._windows) >= self._keys_max:
                self._windows.popitem(last=False)
            window = self._windows[key] = _Window(now_s, now_s, now_s)
        window.failures += 1
        window.before_s, window.last_s = window.last_s, now_s

    def take_back(self, key: K, failures: int = 1, *, begun_s: float | None = None) -> None:
        """Count some failures no more; the one of ``begun_s`` is the last one no more either."""
        window = self._windows.get(key)
        if window is None:
            return
        window.failures -= failures
        if window.last_s == begun_s:
            window.last_s = window.before_s
        if window.failures <= 0:
            del self._windows[key]

    def count(self, key: K) -> int:
        """Tell how many failures are counted."""
        window = self._windows.get(key)
        return 0 if window is None else window.failures

    def drop_ended(self, now_s: float) -> None:
        """Forget the windows that have ended."""
        while self._windows:
            key, window = next(iter(self._windows.items()))
            if window.started_s + self._window_s > now_s:
                return
            del self._windows[key]


def owner(account_id: str) -> str:
    """Name who is logged in as the user whose password is tried; no username has a colon."""
    return f"account:{account_id}"


class AttemptLimit:
    """Says whether a password may be tried now; see the module.

    An address is whatever text stands for one; the empty one is of no address, or of one that no
    limit per address holds for: it is not counted by itself, only with the user.
    """

    __slots__ = ("_addresses", "_both", "_registrations", "_users")

    def __init__(self, settings: AuthxSettings) -> None:
        self._both: _Failures[tuple[str, str]] = _Failures(settings.attempts_per_user, settings)
        self._users: _Failures[str] = _Failures(settings.attempts_per_user_anywhere, settings)
        self._addresses: _Failures[str] = _Failures(settings.attempts_per_address, settings)
        self._registrations: _Failures[str] = _Failures(
            settings.registrations_per_address, settings
        )

    def begin(self, user: str, address: str, now_s: float) -> None:
        """Count an attempt as failed before it is made, so that no burst of them slips through.

        What is refused is not counted, and prolongs nothing.

        Raises:
            TooManyAttempts: it is too soon; says when it will not be.
        """
        wait_s = self._wait_s(user, address, now_s)
        if wait_s > 0:
            raise TooManyAttempts(math.ceil(wait_s))
        self._both.add((user, address), now_s)
        self._users.add(user, now_s)
        if address:
            self._addresses.add(address, now_s)

    def may_go_first(self, user: str, address: str, now_s: float) -> bool:
        """Whether an operator's attempt would be heard, from where few have failed; counts nothing.

        From an address that no limit per address holds for, failures do not matter.
        """
        if self._wait_s(user, address, now_s) > 0:
            return False
        return self._addresses.count(address) < FAILURES_FEW

    def succeeded(self, user: str, address: str) -> None:
        """Forget the failures of a user from an address where he has proved to know the password.

        Failures elsewhere, and at other users, still count: a right password of one's own is no
        way to go on guessing others'.
        """
        failures = max(1, self._both.count((user, address)))
        self._both.take_back((user, address), failures)
        self._users.take_back(user, failures)
        self._addresses.take_back(address, failures)

    def withdraw(self, user: str, address: str, begun_s: float) -> None:
        """Take back an attempt that came to no verdict, such as by a lost database.

        ``begun_s`` is the time that `begin` was called with.
        """
        self._both.take_back((user, address), begun_s=begun_s)
        self._users.take_back(user, begun_s=begun_s)
        self._addresses.take_back(address, begun_s=begun_s)

    def begin_registration(self, address: str, now_s: float) -> None:
        """Count a registration before it is made; what is refused is not counted.

        Raises:
            TooManyAttempts: it is too soon after others; says when it will not be.
        """
        if not address:
            return
        registrations = self._registrations
        registrations.drop_ended(now_s)
        wait_s = registrations.wait_s(address, now_s, registrations.delay_s(address))
        if wait_s > 0:
            raise TooManyAttempts(math.ceil(wait_s))
        registrations.add(address, now_s)

    def withdraw_registration(self, address: str, begun_s: float) -> None:
        """Take back a registration that came to no verdict, as `withdraw` does an attempt."""
        self._registrations.take_back(address, begun_s=begun_s)

    def _wait_s(self, user: str, address: str, now_s: float) -> float:
        for failures in (self._both, self._users, self._addresses):
            failures.drop_ended(now_s)
        both = (user, address)
        delay_s = max(self._both.delay_s(both), self._users.delay_s(user))
        return max(
            self._both.wait_s(both, now_s, delay_s),
            self._addresses.wait_s(address, now_s, self._addresses.delay_s(address)),
        )

    def __len__(self) -> int:
        """Tell how many windows are kept, of all counts."""
        counts = (self._both, self._users, self._addresses, self._registrations)
        return sum(len(windows) for windows in counts)
