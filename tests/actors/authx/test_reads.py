"""Reads of what is not cached: bounded, and one read for many requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.authx.errors import InvalidToken
from actors.authx.reads import BatchedReads
from actors.authx.sessions import SessionCache
from actors.database.errors import DatabaseUnavailable
from bus import Bus, Overloaded, open_broadcast_channel
from tests.actors.authx.test_session_cache import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.authx.messages import Identity
    from actors.authx.sessions import SessionState
    from bus import PendingReply


class Fetching:
    """A database read that the test releases, and that may fail."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.batches: list[list[str]] = []
        self.failure: Exception | None = None

    async def __call__(self, session_ids: Sequence[str]) -> list[SessionState]:
        """Return those whose names do not begin with ``no``."""
        self.batches.append(sorted(session_ids))
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return [state_of(session) for session in session_ids if not session.startswith("no")]


def identity_of(state: SessionState | None) -> Identity:
    """Make an answer from the data read."""
    if state is None:
        raise InvalidToken
    return state.identity


def ask(reads: BatchedReads[SessionState], bus: Bus, session: str) -> PendingReply[Any]:
    """Ask for a session."""
    reply, pending = bus.open_reply()
    reads.ask(session, identity_of, reply)
    return pending


async def test_reads_take_what_is_asked_meanwhile_in_one_go() -> None:
    """One read runs at a time; all requests meanwhile form the next, each id once."""
    fetching, cache, bus = Fetching(), SessionCache(10), open_broadcast_channel()
    async with trio.open_nursery() as nursery:
        reads = BatchedReads(cache, fetching, nursery, waiting_max=100)
        pending = [ask(reads, bus, "s0")]
        await wait_all_tasks_blocked()
        pending += [ask(reads, bus, session) for session in ("s1", "s2", "s1", "s1", "none")]
        await wait_all_tasks_blocked()
        assert fetching.batches == [["s0"]]
        fetching.go.set()
        answers = [await each.wait(1) for each in pending[:-1]]
        assert [answer.session_id for answer in answers] == ["s0", "s1", "s2", "s1", "s1"]
        with pytest.raises(InvalidToken):
            await pending[-1].wait(1)
    assert fetching.batches == [["s0"], ["none", "s1", "s2"]]
    assert len(cache) == 3


async def test_reads_pass_the_failure_of_the_database_on_and_go_on() -> None:
    """Those who waited for a failed read get its error; the next request is read again."""
    fetching, cache, bus = Fetching(), SessionCache(10), open_broadcast_channel()
    fetching.go.set()
    async with trio.open_nursery() as nursery:
        reads = BatchedReads(cache, fetching, nursery, waiting_max=100)
        fetching.failure = DatabaseUnavailable("away")
        pending = [ask(reads, bus, "s1"), ask(reads, bus, "s2")]
        for each in pending:
            with pytest.raises(DatabaseUnavailable):
                await each.wait(1)
        fetching.failure = None
        assert (await ask(reads, bus, "s1").wait(1)).session_id == "s1"


async def test_reads_refuse_questions_beyond_their_bound() -> None:
    """Requests beyond the bound do not wait."""
    fetching, bus = Fetching(), open_broadcast_channel()
    async with trio.open_nursery() as nursery:
        reads = BatchedReads(SessionCache(10), fetching, nursery, waiting_max=3)
        pending = [ask(reads, bus, f"s{number}") for number in range(3)]
        with pytest.raises(Overloaded):
            ask(reads, bus, "s4")
        fetching.go.set()
        for each in pending:
            await each.wait(1)
        ask(reads, bus, "s4").close()
