"""The session cache and its reader: bounded, never out of date, one read for many questions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import InvalidToken
from actors.authx.messages import Identity
from actors.authx.sessions import SessionCache, SessionReader, SessionState
from actors.authx.tokens import Claims
from actors.database.errors import DatabaseUnavailable
from bus import Bus, Overloaded, open_broadcast_channel
from tests.actors.authx.support import WallClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bus import PendingReply

CLOCK = WallClock()


def state_of(session: str, account: str = "ada") -> SessionState:
    """Make a live session's state."""
    return SessionState(Identity(account, session, "player", "Ada"), CLOCK.now + timedelta(hours=1))


def claims_of(session: str, account: str = "ada") -> Claims:
    """Make the claims of a token of a session."""
    now = CLOCK.now
    later = now + timedelta(hours=1)
    return Claims("holdfast", "holdfast", account, session, now, now, later, "jti", "player")


def test_cache_keeps_at_most_its_bound() -> None:
    """The sessions used last stay, and nothing of the others is left behind."""
    cache = SessionCache(3)
    for number in range(10):
        cache.put(state_of(f"s{number}", f"a{number}"))
        cache.get("s0")
    assert len(cache) == 3
    assert cache.get("s0") is not None
    assert cache.get("s5") is None
    assert len(cache._by_account) == 3


def test_cache_drops_a_session_or_a_whole_account() -> None:
    """What is dropped is gone, and nothing else."""
    cache = SessionCache(10)
    for session in ("s1", "s2", "s3"):
        cache.put(state_of(session))
    cache.put(state_of("other", "bob"))
    cache.drop("s1")
    cache.drop("s1")
    assert [cache.get(session) is None for session in ("s1", "s2", "other")] == [True, False, False]
    cache.drop_account("ada")
    cache.drop_account("nobody")
    assert [cache.get(session) is None for session in ("s2", "s3", "other")] == [True, True, False]
    cache.clear()
    assert (len(cache), cache._by_account) == (0, {})


def test_cache_knows_nothing_more_of_a_read_that_failed() -> None:
    """Whatever is dropped later is not written down for a read that is over."""
    cache = SessionCache(10)
    with pytest.raises(DatabaseUnavailable), cache.reading() as reading:
        raise DatabaseUnavailable("away")
    cache.drop("s1")
    cache.drop_account("ada")
    cache.clear()
    assert (reading.dropped, reading.dropped_all) == (set(), False)


@pytest.mark.parametrize("how", ["session", "account", "all"])
def test_cache_keeps_nothing_that_was_dropped_while_it_was_read(how: str) -> None:
    """What a read brings back may be older than a revocation: then it is not kept."""
    cache = SessionCache(10)
    with cache.reading() as reading:
        match how:
            case "session":
                cache.drop("s1")
            case "account":
                cache.drop_account("ada")
            case _:
                cache.clear()
        reading.keep(state_of("s1"))
        reading.keep(state_of("s2", "bob"))
    assert cache.get("s1") is None
    assert (cache.get("s2") is None) == (how == "all")
    with cache.reading() as later:
        later.keep(state_of("s1"))
    assert cache.get("s1") is not None


def test_session_state_speaks_only_for_its_own_account_and_time() -> None:
    """A state identifies the tokens of its account until it runs out."""
    state = state_of("s1")
    assert state.identify(claims_of("s1"), CLOCK.now) == state.identity
    with pytest.raises(InvalidToken):
        state.identify(claims_of("s1", "bob"), CLOCK.now)
    with pytest.raises(InvalidToken):
        state.identify(claims_of("s1"), state.expires_at)


class Fetching:
    """A database read that the test lets go on, and that may fail."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.batches: list[list[str]] = []
        self.failure: Exception | None = None

    async def __call__(self, session_ids: Sequence[str]) -> list[SessionState]:
        """Give those whose names do not begin with ``no``."""
        self.batches.append(sorted(session_ids))
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return [state_of(session) for session in session_ids if not session.startswith("no")]


def reader_of(
    nursery: trio.Nursery, fetching: Fetching, cache: SessionCache, waiting_max: int = 100
) -> SessionReader:
    """Make a reader."""
    return SessionReader(cache, fetching, nursery, waiting_max=waiting_max, wall_clock=CLOCK)


def ask(reader: SessionReader, bus: Bus, session: str) -> PendingReply[Any]:
    """Ask for a session."""
    reply, pending = bus.open_reply()
    reader.ask(claims_of(session), reply)
    return pending


async def test_reader_reads_what_is_asked_meanwhile_in_one_go() -> None:
    """One read is under way at a time; all that comes meanwhile forms the next, each id once."""
    fetching, cache, bus = Fetching(), SessionCache(10), open_broadcast_channel()
    async with trio.open_nursery() as nursery:
        reader = reader_of(nursery, fetching, cache)
        pending = [ask(reader, bus, "s0")]
        await wait_all_tasks_blocked()
        pending += [ask(reader, bus, session) for session in ("s1", "s2", "s1", "s1", "none")]
        await wait_all_tasks_blocked()
        assert fetching.batches == [["s0"]]
        fetching.go.set()
        answers = [await each.wait(1) for each in pending[:-1]]
        assert [answer.session_id for answer in answers] == ["s0", "s1", "s2", "s1", "s1"]
        with pytest.raises(InvalidToken):
            await pending[-1].wait(1)
    assert fetching.batches == [["s0"], ["none", "s1", "s2"]]
    assert len(cache) == 3


async def test_reader_passes_the_failure_of_the_database_on_and_goes_on() -> None:
    """Those who waited for a failed read are told so; the next question is read again."""
    fetching, cache, bus = Fetching(), SessionCache(10), open_broadcast_channel()
    fetching.go.set()
    async with trio.open_nursery() as nursery:
        reader = reader_of(nursery, fetching, cache)
        fetching.failure = DatabaseUnavailable("away")
        pending = [ask(reader, bus, "s1"), ask(reader, bus, "s2")]
        for each in pending:
            with pytest.raises(DatabaseUnavailable):
                await each.wait(1)
        fetching.failure = None
        assert (await ask(reader, bus, "s1").wait(1)).session_id == "s1"


async def test_reader_refuses_questions_beyond_its_bound() -> None:
    """More than the bound do not wait."""
    fetching, bus = Fetching(), open_broadcast_channel()
    async with trio.open_nursery() as nursery:
        reader = reader_of(nursery, fetching, SessionCache(10), waiting_max=3)
        pending = [ask(reader, bus, f"s{number}") for number in range(3)]
        with pytest.raises(Overloaded):
            ask(reader, bus, "s4")
        fetching.go.set()
        for each in pending:
            await each.wait(1)
        ask(reader, bus, "s4").close()
