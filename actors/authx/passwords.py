"""Passwords: argon2id in worker threads, bounded, and the same work for every answer.

argon2-cffi releases the interpreter's lock while it hashes, so a worker thread leaves the event
loop alone. In a flood of logins, hashing is what would overwhelm the server; therefore it needs a
`HashSlot`, and there are only as many as workers and waiting places together.

A caller that has waited too long for its answer to be in time is refused, not hashed for:
otherwise slow hashing would keep the threads busy only with callers that have gone. So is one for
whom the system has no memory or no thread: that says nothing about the password.

Operators have a few places of their own and go before others (`HashTurns`): if too many players
log in, somebody must be able to get in and investigate.
"""

from __future__ import annotations

import base64
import math
import secrets
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar, cast

import argon2
import trio
from argon2.exceptions import HashingError, InvalidHashError, VerificationError
from argon2.low_level import error_to_str

from actors.authx.errors import InvalidPassword
from actors.authx.hash_turns import HashTurns
from actors.authx.settings import PASSWORD_LENGTH_CEILING
from actors.places import Places
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from structlog.typing import FilteringBoundLogger

    from actors.authx.settings import AuthxSettings

T = TypeVar("T")

_SALT_BYTES = 16
_HASH_BYTES = 32

ADDRESS_SHARE: Final = 4
"""One address may take at most one in this many of all places."""

RETRY_AFTER_S_MAX: Final = 10
"""The longest ``Retry-After``; by default those waiting have been answered long before."""

OPERATORS_PLACES: Final = 4
"""How many places are reserved for operators; one address takes at most one of them."""

_SCARCE: Final = frozenset({error_to_str(-22), error_to_str(-33)})
"""What argon2 says when it gets no memory or no threads: its exceptions carry only this text."""

SCARCE_LOG_S: Final = 10.0
"""The shortest interval between log events that the system has no memory or no thread."""


class HashEngine(Protocol):
    """The hash implementation: `argon2.PasswordHasher` is one."""

    def hash(self, password: str | bytes) -> str:
        """Hash a password with a fresh salt; takes long, and may be called in any thread."""
        ...

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's
        """Return True if the password matches the hash; raises `VerificationError` if not."""
        ...

    def check_needs_rehash(self, hash: str | bytes) -> bool:  # noqa: A002 - argon2's own name
        """Whether a hash was made with other parameters than the current ones."""
        ...


class Passwords:
    """Hashes and verifies passwords for one Authx.

    ``log`` gets a warning when the system has no memory or no thread for them, at a bounded rate.
    ``engine`` is for tests that count the operations.
    """

    def __init__(
        self,
        settings: AuthxSettings,
        *,
        engine: HashEngine | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self._settings = settings
        self._log = log
        self._told_scarce = -math.inf
        self._engine: HashEngine = engine or argon2.PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
            type=argon2.Type.ID,
        )
        self._turns = HashTurns(settings.hash_workers)
        self._slots_free = settings.hash_workers + settings.hash_queue
        # Newcomers leave room for users who already have an account.
        self._newcomers_free = max(1, self._slots_free // 2)
        # A correct password is not a failure, which would make its address wait: without this bound
        # repeated logins to a few accounts of one's own would keep everybody else out.
        self._addresses = Places(max(1, self._slots_free // ADDRESS_SHARE))
        self._operators = Places(1)
        self._nobodys_hash = _unmatched_hash(settings)

    def check(self, password: str) -> None:
        """Check a new password's length in characters; it is never altered.

        Raises:
            InvalidPassword: it is too short or too long, or not proper Unicode text.
        """
        low, high = self._settings.password_length_min, self._settings.password_length_max
        if len(password) < low:
            raise InvalidPassword(f"must have at least {low} characters")
        if len(password) > high:
            raise InvalidPassword(f"must have at most {high} characters")
        if _encoded(password) is None:
            raise InvalidPassword("must be valid Unicode text")

    def reserve(
        self, address: str = "", *, newcomer: bool = False, operator: bool = False
    ) -> HashSlot:
        """Take a place among those that hash or wait to; leaving the slot gives it back.

        Newcomers, who have no account yet, take at most half of all places, and one ``address`` a
        quarter; the empty one stands for all addresses without a limit. An operator takes one of
        the operators' places if one is free, and then has a turn before others.

        Raises:
            Overloaded: all places are taken, or all that this caller may take.
        """
        begin_by = trio.current_time() + self._settings.hash_wait_ms / 1000
        operators = self._operators
        if operator and operators.total < OPERATORS_PLACES and operators.take(address):
            return HashSlot(self, partial(operators.give_back, address), begin_by, operator=True)
        if self._slots_free == 0 or (newcomer and self._newcomers_free == 0):
            raise self.overloaded("too many passwords are waiting to be hashed")
        if not self._addresses.take(address):
            raise self.overloaded("too many passwords from this address are waiting to be hashed")
        self._slots_free -= 1
        self._newcomers_free -= newcomer
        give_back = partial(self._give_back, address, newcomer=newcomer)
        return HashSlot(self, give_back, begin_by, operator=False)

    def overloaded(self, why: str) -> Overloaded:
        """Make the refusal of a password; it says to retry when all with a place are hashed."""
        places = self._settings.hash_workers + self._settings.hash_queue
        in_hand = places - self._slots_free + self._operators.total
        seconds = math.ceil(self._turns.seconds_for(in_hand))
        return Overloaded(why, retry_after_s=min(max(1, seconds), RETRY_AFTER_S_MAX))

    @property
    def slots_free(self) -> int:
        """How many more callers, besides operators, may now hash or wait to."""
        return self._slots_free

    @property
    def turns(self) -> HashTurns:
        """The turns, which let as many hash at once as there are threads for it."""
        return self._turns

    def is_outdated(self, stored_hash: str) -> bool:
        """Whether a hash that has just been verified should be renewed."""
        return self._engine.check_needs_rehash(stored_hash)

    async def hash_in_thread(self, password: str, turn: Turn) -> str:
        """Fulfil the contract of `HashSlot.hash`."""
        secret = _encoded(password)
        if secret is None:
            raise InvalidPassword("must be valid Unicode text")
        return await self._in_thread(turn, self._engine.hash, secret)

    async def verify_in_thread(self, stored_hash: str | None, password: str, turn: Turn) -> bool:
        """Fulfil the contract of `HashSlot.matches`."""
        secret = None if len(password) > PASSWORD_LENGTH_CEILING else _encoded(password)
        hashed = self._nobodys_hash if stored_hash is None or secret is None else stored_hash
        matches = await self._in_thread(turn, self._verify, hashed, secret or b"")
        return matches and hashed is stored_hash

    async def _in_thread(self, turn: Turn, work: Callable[..., T], *args: Any) -> T:
        # An abandoned thread gives its turn back only when it has ended.
        limiter = cast("trio.CapacityLimiter", turn)
        try:
            return await trio.to_thread.run_sync(
                work, *args, limiter=limiter, abandon_on_cancel=True
            )
        except (HashingError, VerificationError, RuntimeError) as error:  # the last: no thread
            self._tell_scarce(error)
            raise self.overloaded(f"the system cannot hash passwords now: {error}") from error

    def _tell_scarce(self, error: Exception) -> None:
        now = trio.current_time()
        if self._log is not None and now - self._told_scarce >= SCARCE_LOG_S:
            self._told_scarce = now
            self._log.warning("passwords_not_hashed", reason=str(error))

    def _give_back(self, address: str, *, newcomer: bool) -> None:
        self._slots_free += 1
        self._newcomers_free += newcomer
        self._addresses.give_back(address)

    def _verify(self, stored_hash: str, secret: bytes) -> bool:
        try:
            return self._engine.verify(stored_hash, secret)
        except InvalidHashError:
            return False
        except VerificationError as error:
            if str(error) in _SCARCE:
                raise
            return False


class Turn:
    """Lets work begin in its turn, or not at all: `trio.to_thread.run_sync` asks it first."""

    __slots__ = ("_began", "_begin_by", "_operator", "_passwords", "_turns")

    def __init__(self, passwords: Passwords, begin_by: float, *, operator: bool) -> None:
        self._passwords = passwords
        self._turns = passwords.turns
        self._begin_by = begin_by
        self._operator = operator
        self._began = 0.0

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Wait for a turn; raises `Overloaded` if it does not come in time."""
        del borrower
        with trio.move_on_at(self._begin_by):
            await self._turns.begin(operator=self._operator)
            self._began = trio.current_time()
            return
        raise self._passwords.overloaded("passwords are waiting too long to be hashed")

    def release_on_behalf_of(self, borrower: object) -> None:
        """End a turn; called in Trio's own thread."""
        del borrower
        self._turns.end(trio.current_time() - self._began)


class HashSlot:
    """A place among those that hash; a context manager that gives the place back.

    Work that has not begun by ``begin_by``, on Trio's clock, is not done.
    """

    __slots__ = ("_begin_by", "_give_back", "_operator", "_passwords")

    def __init__(
        self,
        passwords: Passwords,
        give_back: Callable[[], None],
        begin_by: float,
        *,
        operator: bool,
    ) -> None:
        self._passwords = passwords
        self._give_back = give_back
        self._begin_by = begin_by
        self._operator = operator

    async def hash(self, password: str) -> str:
        """Hash a password in a worker thread.

        Cancellation abandons the thread, whose result is dropped.

        Raises:
            InvalidPassword: it is not proper Unicode text.
            Overloaded: its turn has not come in time, or the system has no memory or no thread
                for it; nothing was done.
        """
        return await self._passwords.hash_in_thread(password, self._turn())

    async def matches(self, stored_hash: str | None, password: str) -> bool:
        """Verify a password in a worker thread: one argon2 operation whatever the outcome.

        Without a stored hash, as for an unknown user, a hash that nothing matches is verified
        instead, so that the answer takes as long. Cancellation as for `hash`.

        Raises:
            Overloaded: as `hash`; nothing was verified.
        """
        return await self._passwords.verify_in_thread(stored_hash, password, self._turn())

    def _turn(self) -> Turn:
        return Turn(self._passwords, self._begin_by, operator=self._operator)

    def __enter__(self) -> Self:
        """Use the slot as a context."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the place back."""
        self._give_back()


def _encoded(password: str) -> bytes | None:
    try:
        return password.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None


def _unmatched_hash(settings: AuthxSettings) -> str:
    """Build a hash as argon2 would write it, of random bytes: verifying it fails in full time."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_SALT_BYTES, _HASH_BYTES)
    )
    return (
        f"$argon2id$v=19$m={settings.argon2_memory_kib},t={settings.argon2_time_cost}"
        f",p={settings.argon2_parallelism}${salt}${digest}"
    )
