"""Passwords: bounded work, the same work for every answer, and nothing altered."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import argon2
import pytest
import trio
from argon2.low_level import error_to_str
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import InvalidPassword
from actors.authx.passwords import Passwords
from bus import Overloaded
from tests.actors.authx.support import CHEAP, CountingEngine, counting_passwords
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.mark.parametrize(
    ("password", "says"),
    [("1234567", "at least 8"), ("x" * 129, "at most 128"), ("1234567\ud800", "valid Unicode")],
)
def test_password_of_wrong_length_is_refused_with_the_reason(password: str, says: str) -> None:
    """Lengths are counted in characters, and text must be encodable."""
    with pytest.raises(InvalidPassword, match=says):
        Passwords(CHEAP).check(password)


@pytest.mark.parametrize("password", ["12345678", "💥" * 8, "x" * 128, " " * 8, "a\0b\nc\td\r\x7f"])
def test_password_within_bounds_is_accepted_whatever_its_characters(password: str) -> None:
    """Only the length counts; no character is forbidden."""
    Passwords(CHEAP).check(password)


async def test_password_is_never_altered() -> None:
    """White space, case, normalization form and characters after a NUL all matter."""
    passwords = Passwords(CHEAP)
    with passwords.reserve() as slot:
        stored = await slot.hash(" Zoë\0 secret ")
        assert await slot.matches(stored, " Zoë\0 secret ")
        for other in (
            "Zoë\0 secret",
            " zoë\0 secret ",
            " Zoe\u0308\0 secret ",
            " Zoë",
            " Zoë\0 Secret ",
        ):
            assert not await slot.matches(stored, other)


async def test_password_hash_is_argon2id_with_the_settings_parameters() -> None:
    """The stored form names the variant and the parameters, with a fresh salt each time."""
    passwords = Passwords(replace(CHEAP, argon2_memory_kib=16, argon2_time_cost=2))
    with passwords.reserve() as slot:
        first, second = await slot.hash("12345678"), await slot.hash("12345678")
    assert first.startswith("$argon2id$v=19$m=16,t=2,p=1$")
    assert first != second


async def test_password_verification_without_a_user_is_the_same_single_operation() -> None:
    """Unknown user, wrong password, right password, hopeless text: one operation each, alike."""
    passwords, engine = counting_passwords()
    with passwords.reserve() as slot:
        stored = await slot.hash("correct horse")
        engine.operations.clear()
        assert await slot.matches(stored, "correct horse")
        assert not await slot.matches(stored, "wrong horse")
        assert not await slot.matches(None, "correct horse")
        assert not await slot.matches(stored, "x" * 100_000)
        assert not await slot.matches(stored, "\ud800")
        assert not await slot.matches(None, "")
    assert len(engine.operations) == 6
    assert len(set(engine.operations)) == 1


async def test_password_verification_takes_no_hash_for_nobody() -> None:
    """A stored value that is not a hash matches nothing, not even the empty password."""
    with Passwords(CHEAP).reserve() as slot:
        assert not await slot.matches("", "")
        assert not await slot.matches("!", "!")


async def test_password_that_cannot_be_encoded_is_not_hashed() -> None:
    """A lone surrogate is refused even where no earlier check was made."""
    with Passwords(CHEAP).reserve() as slot, pytest.raises(InvalidPassword):
        await slot.hash("\ud800")


async def test_password_hash_with_other_parameters_is_outdated() -> None:
    """After a change of parameters, old hashes still verify and report that they are old."""
    with Passwords(CHEAP).reserve() as slot:
        stored = await slot.hash("12345678")
    stronger = Passwords(replace(CHEAP, argon2_time_cost=2))
    with stronger.reserve() as slot:
        assert await slot.matches(stored, "12345678")
    assert stronger.is_outdated(stored)
    assert not Passwords(CHEAP).is_outdated(stored)


async def test_password_slots_are_as_many_as_workers_and_queue() -> None:
    """Beyond them hashing is refused, and leaving a slot makes room again."""
    passwords = Passwords(replace(CHEAP, hash_workers=2, hash_queue=3))
    slots = [passwords.reserve() for _ in range(5)]
    with pytest.raises(Overloaded):
        passwords.reserve()
    with slots[0]:
        assert passwords.slots_free == 0
    assert passwords.slots_free == 1
    passwords.reserve()


@pytest.mark.parametrize(("workers", "queue", "newcomers"), [(2, 4, 3), (2, 3, 2), (1, 0, 1)])
async def test_password_slots_are_half_for_newcomers_at_most(
    workers: int, queue: int, newcomers: int
) -> None:
    """But at least one; others may take them all, and leaving one makes room again."""
    passwords = Passwords(replace(CHEAP, hash_workers=workers, hash_queue=queue))
    slots = [passwords.reserve(newcomer=True) for _ in range(newcomers)]
    with pytest.raises(Overloaded):
        passwords.reserve(newcomer=True)
    others = [passwords.reserve() for _ in range(workers + queue - newcomers)]
    assert passwords.slots_free == 0
    for slot in slots:
        with slot:
            pass
    slots = [passwords.reserve(newcomer=True) for _ in range(newcomers)]
    for slot in (*slots, *others):
        with slot:
            pass
    assert passwords.slots_free == workers + queue


@pytest.mark.parametrize(("workers", "queue", "share"), [(2, 10, 3), (2, 64, 16), (1, 1, 1)])
async def test_password_slots_are_a_quarter_for_one_address_at_most(
    workers: int, queue: int, share: int
) -> None:
    """But at least one; others find room meanwhile, and leaving one makes room again."""
    passwords = Passwords(replace(CHEAP, hash_workers=workers, hash_queue=queue))
    slots = [passwords.reserve("198.51.100.7") for _ in range(share)]
    for newcomer in (False, True):
        with pytest.raises(Overloaded, match="this address"):
            passwords.reserve("198.51.100.7", newcomer=newcomer)
    assert passwords.slots_free == workers + queue - share
    with passwords.reserve("203.0.113.9"):
        pass
    with slots.pop():
        pass
    slots.append(passwords.reserve("198.51.100.7", newcomer=True))
    for slot in slots:
        with slot:
            pass
    assert passwords.slots_free == workers + queue


async def test_password_slots_of_no_address_are_bounded_together_alone() -> None:
    """If no per-address limit applies, as behind a proxy that names nobody, all are available."""
    passwords = Passwords(replace(CHEAP, hash_workers=2, hash_queue=6))
    for _ in range(8):
        passwords.reserve()
    assert passwords.slots_free == 0


async def test_password_slots_of_operators_are_their_own() -> None:
    """When all others are taken there are four more, at most one per address."""
    passwords = Passwords(replace(CHEAP, hash_workers=1, hash_queue=1))
    others = [passwords.reserve() for _ in range(2)]
    operators = [passwords.reserve(f"192.0.2.{number}", operator=True) for number in range(3)]
    with pytest.raises(Overloaded):
        passwords.reserve("192.0.2.0", operator=True)
    operators.append(passwords.reserve("192.0.2.3", operator=True))
    with pytest.raises(Overloaded):
        passwords.reserve("192.0.2.4", operator=True)
    with operators[0]:
        pass
    passwords.reserve("192.0.2.4", operator=True)
    with others[0]:
        pass
    # When theirs are taken, one of the others may be free.
    passwords.reserve("192.0.2.5", operator=True)
    assert passwords.slots_free == 0


class HeldEngine(argon2.PasswordHasher):
    """An engine whose hashes run until released, and which counts how many are running."""

    def __init__(self) -> None:
        super().__init__(1, 8, 1)
        self.at_it = self.at_it_max = 0
        self.two_at_it = trio.Event()
        self.go = trio.Event()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        """Wait in the worker thread for the test's permission."""
        trio.from_thread.run(self._wait)
        return super().hash(password, salt=salt)

    async def _wait(self) -> None:
        self.at_it += 1
        self.at_it_max = max(self.at_it, self.at_it_max)
        if self.at_it == 2:
            self.two_at_it.set()
        await self.go.wait()
        self.at_it -= 1


class StalledEngine(CountingEngine):
    """A hash engine whose hashes run until released."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def hash(self, password: str | bytes) -> str:
        """Hash once released."""
        self.operations.append("hash")
        assert self.go.wait(10)
        return "hashed"


async def test_password_hashing_is_spread_over_hash_workers_threads_at_most() -> None:
    """Of many waiters, only as many as there are workers hash at once; the loop runs on."""
    engine = HeldEngine()
    passwords = Passwords(replace(CHEAP, hash_workers=2, hash_queue=10), engine=engine)

    async def hash_one() -> None:
        with passwords.reserve() as slot:
            await slot.hash("12345678")

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(hash_one)
        await engine.two_at_it.wait()
        await wait_all_tasks_blocked()
        assert passwords.slots_free == 12 - 8
        engine.go.set()
    assert engine.at_it_max == 2
    assert passwords.slots_free == 12


async def test_password_whose_turn_comes_too_late_is_not_hashed(autojump_clock: MockClock) -> None:
    """Only callers who can still be answered in time are hashed; late ones free their places."""
    engine = StalledEngine()
    settings = replace(CHEAP, hash_workers=1, hash_queue=2, hash_wait_ms=2_500)
    passwords = Passwords(settings, engine=engine)
    turned_away: list[float] = []

    async def hash_one() -> None:
        with passwords.reserve() as slot:
            await slot.hash("12345678")

    async def come_too_late() -> None:
        with passwords.reserve() as slot, pytest.raises(Overloaded):
            await slot.matches(None, "12345678")
        turned_away.append(trio.current_time())

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hash_one)
        await wait_all_tasks_blocked()
        nursery.start_soon(come_too_late)
        nursery.start_soon(come_too_late)
        await trio.sleep(3)
        assert passwords.slots_free == 2
        engine.go.set()
    assert turned_away == [pytest.approx(began + 2.5)] * 2
    assert engine.operations == ["hash"]
    assert passwords.slots_free == 3
    with passwords.reserve() as slot:
        await slot.hash("12345678")


class TimedEngine(CountingEngine):
    """A hash engine whose hashes take ``seconds`` on the test's clock."""

    def __init__(self, clock: MockClock) -> None:
        super().__init__()
        self.seconds = 0.0
        self._clock = clock

    def hash(self, password: str | bytes) -> str:
        """Hash, and advance the clock."""
        trio.from_thread.run_sync(self._clock.jump, self.seconds)
        return super().hash(password)


@pytest.mark.parametrize(
    ("seconds", "workers", "queue", "told"),
    [(0.03, 2, 64, 1), (0.1, 1, 64, 7), (0.1, 2, 64, 4), (3.0, 1, 64, 10), (0.0, 1, 64, 1)],
)
async def test_password_that_is_turned_away_is_told_when_those_there_will_be_hashed(
    mock_clock: MockClock, seconds: float, workers: int, queue: int, told: int
) -> None:
    """In whole seconds, within bounds: the time of recent hashes, for all occupied places."""
    engine = TimedEngine(mock_clock)
    settings = replace(CHEAP, hash_workers=workers, hash_queue=queue)
    passwords = Passwords(settings, engine=engine)
    engine.seconds = seconds
    for _ in range(40):
        with passwords.reserve() as slot:
            await slot.hash("12345678")
    for _ in range(workers + queue):
        passwords.reserve()
    with pytest.raises(Overloaded) as refusal:
        passwords.reserve()
    assert refusal.value.retry_after_s == told


async def test_password_turned_away_before_any_was_hashed_is_told_to_come_at_once() -> None:
    """The time of a hash is not known yet: a second, as for any other overload."""
    passwords = Passwords(replace(CHEAP, hash_workers=1, hash_queue=1))
    for _ in range(2):
        passwords.reserve()
    with pytest.raises(Overloaded) as refusal:
        passwords.reserve()
    assert refusal.value.retry_after_s == 1


class Exhausted(CountingEngine):
    """A hash engine that gets no memory, or no threads of its own, from the system."""

    def __init__(self, why: int) -> None:
        super().__init__()
        self._why = error_to_str(why)

    def hash(self, password: str | bytes) -> str:
        """Fail as argon2 does."""
        del password
        raise argon2.exceptions.HashingError(self._why)

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # noqa: A002 - argon2's
        """Fail as argon2 does."""
        del hash, password
        raise argon2.exceptions.VerificationError(self._why)


@pytest.mark.parametrize("why", ["memory", "threads", "thread"])
async def test_password_for_which_the_system_has_no_room_is_refused_not_wrong(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may try again; no operation or place is taken, and one line of the log says so."""
    engine = CountingEngine() if why == "thread" else Exhausted(-22 if why == "memory" else -33)
    log = LogCapture()
    passwords = Passwords(CHEAP, engine=engine, log=quiet_log(log))
    stored = CountingEngine().hash("12345678")
    free = passwords.slots_free, passwords.turns.free

    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    if why == "thread":
        monkeypatch.setattr("trio._threads.start_thread_soon", no_thread)
    for hashed in (stored, None):
        with passwords.reserve() as slot, pytest.raises(Overloaded, match="cannot hash"):
            await slot.matches(hashed, "12345678")
    with passwords.reserve() as slot, pytest.raises(Overloaded, match="cannot hash"):
        await slot.hash("12345678")
    assert (passwords.slots_free, passwords.turns.free) == free
    assert engine.operations == []
    assert [(each["event"], each["log_level"]) for each in log.entries] == [
        ("passwords_not_hashed", "warning")
    ]
