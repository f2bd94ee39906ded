"""How soon a password may be tried again after failures: per user, per address, and per pair.

Pure: the caller supplies the time. Three counts are kept, each within a window that begins with
its first failure and ends on its own. After a few free failures each further attempt waits 1 s,
2 s, 4 s, … from the last one, up to a maximum delay:

- **a user from an address**: somebody guessing one password from one place;
- **an address**: somebody trying one password on many users from one place;
- **a user from anywhere**: somebody guessing one password from many places. This count alone
  refuses nobody: it makes each address that has failed for the user wait as long as it says,
  from its own last failure on.

So nobody can lock a user out from elsewhere: an address that has not failed is always heard once,
and after a mistake it waits at most the maximum delay, which nobody else's attempts prolong. Only
users at the attacker's own address wait as the attacker does, and open sessions are not affected.

Registrations have their own count, by address: each costs a hash as a login does, so all are
counted, including those for a taken name, and delayed in the same way.

An operator logging in gets a reserved place and an earlier turn among the passwords waiting to be
hashed (`Passwords.reserve`), but only from an address with fewer than `FAILURES_FEW` failures over
all names. An address that tries many names to find the operators', or hammers one, soon waits with
everybody else.

An attempt without a verdict, for example after a lost connection or a failure of Authx itself, is
taken back and prolongs no delay either, unless another attempt has come in between.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from actors.authx.errors import AuthxError, TooManyAttempts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable

    from actors.authx.settings import AuthxSettings

K = TypeVar("K", bound="Hashable")

_EXPONENT_MAX = 30
"""Beyond this a doubled delay is longer than any window."""

FAILURES_FEW: Final = 3
"""With this many failures, an address gains nothing from an operator's name."""


@dataclass(slots=True)
class _Window:
    """The failures of one key since ``started_s``: the last at ``last_s``, after ``before_s``."""

    started_s: float
    before_s: float
    last_s: float
    failures: int = 0


class _Failures(Generic[K]):
    """Failures by key, of which the first ``free`` cause no delay.

    Memory is bounded: beyond ``keys_max`` keys, the window that began first is dropped.
    """

    __slots__ = ("_delay_s_max", "_free", "_keys_max", "_window_s", "_windows")

    def __init__(self, free: int, settings: AuthxSettings) -> None:
        self._free = free
        self._delay_s_max = settings.attempt_delay_max_seconds
        self._window_s = settings.attempt_window_seconds
        self._keys_max = settings.attempt_keys_max
        self._windows: OrderedDict[K, _Window] = OrderedDict()  # in the order they began

    def __len__(self) -> int:
        return len(self._windows)

    def delay_s(self, key: K) -> float:
        """Return how long an attempt must come after the last one; 0 if it does not matter."""
        window = self._windows.get(key)
        if window is None or window.failures < self._free:
            return 0.0
        doublings = min(window.failures - self._free, _EXPONENT_MAX)
        return min(float(2**doublings), self._delay_s_max)

    def wait_s(self, key: K, now_s: float, delay_s: float) -> float:
        """Return the time until ``delay_s`` after the last failure, or until the window's end."""
        window = self._windows.get(key)
        if window is None:
            return 0.0
        wait_s = min(window.last_s + delay_s, window.started_s + self._window_s) - now_s
        # A sum of floats may have been rounded up, and the caller rounds up to whole seconds.
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
        """Uncount some failures; the one of ``begun_s`` also ceases to be the last one."""
        window = self._windows.get(key)
        if window is None:
            return
        window.failures -= failures
        if window.last_s == begun_s:
            window.last_s = window.before_s
        if window.failures <= 0:
            del self._windows[key]

    def count(self, key: K) -> int:
        """Return how many failures are counted."""
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
    """Return the user that a logged-in account's attempts count for; no username has a colon."""
    return f"account:{account_id}"


class AttemptLimit:
    """Decides whether a password may be tried now; see the module.

    An address is any text that stands for one. The empty one means no address, or one without a
    limit per address: it is counted only together with the user, not by itself.
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
        """Count an attempt as failed before it is made, so that no burst slips through.

        Refused attempts are not counted, and prolong nothing.

        Raises:
            TooManyAttempts: it is too soon; says when to try again.
        """
        wait_s = self._wait_s(user, address, now_s)
        if wait_s > 0:
            raise TooManyAttempts(math.ceil(wait_s))
        self._both.add((user, address), now_s)
        self._users.add(user, now_s)
        if address:
            self._addresses.add(address, now_s)

    @contextmanager
    def attempt(self, user: str, address: str, now_s: float) -> Generator[None]:
        """Count an attempt as `begin` does, and take it back if the block ends without a verdict.

        Whatever is raised is no verdict, even a cancellation, unless it is an `AuthxError`.

        Raises: as `begin`.
        """
        self.begin(user, address, now_s)
        with _without_verdict(lambda: self.withdraw(user, address, now_s)):
            yield

    def may_go_first(self, user: str, address: str, now_s: float) -> bool:
        """Whether an operator's attempt may go ahead of players'; counts nothing.

        It must not be too soon, and its address must have few failures. Without a limit per
        address, failures do not matter.
        """
        if self._wait_s(user, address, now_s) > 0:
            return False
        return self._addresses.count(address) < FAILURES_FEW

    def succeeded(self, user: str, address: str) -> None:
        """Forget a user's failures from an address after a correct password from there.

        Failures from elsewhere, and for other users, still count: knowing one's own password is
        no way to go on guessing others'. Nor is logging in several times at once: what the first
        success has forgotten is not taken back again.
        """
        failures = self._both.count((user, address))
        self._both.take_back((user, address), failures)
        self._users.take_back(user, failures)
        self._addresses.take_back(address, failures)

    def withdraw(self, user: str, address: str, begun_s: float) -> None:
        """Take back an attempt without a verdict, for example after a lost connection.

        ``begun_s`` is the time that `begin` was called with. A success may have forgotten it.
        """
        failures = min(1, self._both.count((user, address)))
        self._both.take_back((user, address), failures, begun_s=begun_s)
        self._users.take_back(user, failures, begun_s=begun_s)
        self._addresses.take_back(address, failures, begun_s=begun_s)

    def begin_registration(self, address: str, now_s: float) -> None:
        """Count a registration before it is made; refused ones are not counted.

        Raises:
            TooManyAttempts: it is too soon after others; says when to try again.
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
        """Take back a registration without a verdict, as `withdraw` does an attempt."""
        self._registrations.take_back(address, begun_s=begun_s)

    @contextmanager
    def registration(self, address: str, now_s: float) -> Generator[None]:
        """Count a registration as `begin_registration` does, otherwise as `attempt`."""
        self.begin_registration(address, now_s)
        with _without_verdict(lambda: self.withdraw_registration(address, now_s)):
            yield

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
        """Return how many windows are kept, over all counts."""
        counts = (self._both, self._users, self._addresses, self._registrations)
        return sum(len(windows) for windows in counts)


@contextmanager
def _without_verdict(take_back: Callable[[], None]) -> Generator[None]:
    try:
        yield
    except AuthxError:
        raise
    except BaseException:
        take_back()
        raise
