"""Supervision at the start: when an actor is ready, and what prevents that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.supervisor import ActorNotReady, ActorState, Restart
from tests.actors.supervisor.support import Crash, Harness, Scripted, live, stillborn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Body = Callable[["Scripted"], Awaitable[None]]


async def test_start_waits_until_the_actor_says_that_it_is_ready(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """start() returns when the actor is ready, not before, and no sleep stands in for it."""

    async def slow(actor: Scripted) -> None:
        await trio.sleep(5)
        await live(actor)

    began = trio.current_time()
    async with trio.open_nursery() as waiting:
        waiting.start_soon(harness.supervisor.start, "slow", Scripted(slow))
        await wait_all_tasks_blocked()
        assert harness.state("slow") is ActorState.STARTING
        assert not harness.supervisor.all_ready()
    assert trio.current_time() - began == pytest.approx(5)
    assert harness.state("slow") is ActorState.READY
    assert harness.supervisor.all_ready()
    [started] = harness.events("actor_started")
    assert (started["actor"], started["restarts"], started["log_level"]) == ("slow", 0, "info")


@pytest.mark.parametrize("policy", Restart)
async def test_start_raises_what_kept_the_actor_from_becoming_ready(
    harness: Harness, policy: Restart
) -> None:
    """A failure before the first readiness comes out of start() and is not retried."""
    actor = Scripted(stillborn)
    with pytest.raises(Crash, match="never ready"):
        await harness.supervisor.start("stillborn", actor, policy)
    assert len(actor.began) == 1
    assert harness.events("actor_restarted") == []


async def test_start_that_is_given_up_may_fail_without_an_error_in_the_log() -> None:
    """What the actor needed was taken away to end its start: a signal meanwhile is no failure."""
    harness = Harness()

    async def lose_the_database(_actor: Scripted) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Crash("the connection was lost")

    async with trio.open_nursery() as nursery:
        harness.supervise(nursery)
        with trio.CancelScope() as start:
            start.cancel()
            await harness.supervisor.start("actor", Scripted(lose_the_database))
        assert start.cancelled_caught
    assert harness.state("actor") is ActorState.STOPPED
    [failed] = harness.events("actor_failed")
    assert failed["log_level"] == "debug"


async def test_start_says_so_where_an_actor_returns_before_it_is_ready(harness: Harness) -> None:
    """Nothing is retried: an actor that finished before it was ready would do so again."""

    async def return_at_once(_actor: Scripted) -> None:
        await trio.lowlevel.checkpoint()

    actor = Scripted(return_at_once)
    with pytest.raises(ActorNotReady, match="'early'"):
        await harness.supervisor.start("early", actor)
    assert len(actor.began) == 1
    assert harness.events("actor_restarted") == []


async def test_start_refuses_a_name_that_is_taken(harness: Harness) -> None:
    """Two actors cannot have the same name."""
    await harness.supervisor.start("one", Scripted(live))
    with pytest.raises(ValueError, match="'one'"):
        await harness.supervisor.start("one", Scripted(live))
    with pytest.raises(ValueError, match="'one'"):
        harness.supervisor.start_soon("one", Scripted(live), Restart.TEMPORARY)


async def test_start_soon_counts_a_failure_at_the_start_like_any_other(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """An actor that nobody waits for is restarted even if it was never ready."""
    actor = Scripted(stillborn, stillborn, live)
    harness.supervisor.start_soon("soon", actor, Restart.TRANSIENT)
    await trio.sleep(10)
    assert len(actor.began) == 3
    assert harness.state("soon") is ActorState.READY
