"""Supervision at the end: an actor that is cancelled or asked to stop is not restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.supervisor import ActorState, Restart
from tests.actors.supervisor.support import Crash, Harness, Scripted, crash, live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Body = Callable[["Scripted"], Awaitable[None]]


# --------------------------------------------------------------------- cancellation


async def started_and_cancelled(actor: Scripted) -> Harness:
    """Start an actor, and cancel everything as soon as it is ready."""
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        await harness.supervisor.start("actor", actor)
        nursery.cancel_scope.cancel()
    return harness


async def test_cancelled_actor_is_never_restarted(autojump_clock: MockClock) -> None:
    """A cancellation is no crash: the actor is stopped, not started again."""
    actor = Scripted(live)
    harness = await started_and_cancelled(actor)
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.STOPPED
    assert harness.events() == ["actor_started"]


async def test_cancelled_actor_that_fails_in_its_cleanup_is_never_restarted() -> None:
    """A failure during cleanup is reported, and is no reason to restart."""

    async def fail_in_cleanup(actor: Scripted) -> None:
        try:
            await live(actor)
        finally:
            raise Crash("while it was ending")

    actor = Scripted(fail_in_cleanup)
    harness = await started_and_cancelled(actor)
    assert len(actor.began) == 1
    assert harness.events() == ["actor_started", "actor_failed"]
    assert harness.supervisor.restarts == 0
    assert harness.supervisor.states()["actor"].failure == "Crash: while it was ending"


async def test_cancelled_actor_with_cancelled_tasks_is_never_restarted() -> None:
    """A group that holds only cancellations is a cancellation."""

    async def live_twice(actor: Scripted) -> None:
        async with trio.open_nursery() as below:
            below.start_soon(trio.sleep_forever)
            await live(actor)

    actor = Scripted(live_twice)
    harness = await started_and_cancelled(actor)
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.STOPPED


async def test_cancelled_during_its_back_off_is_not_restarted(autojump_clock: MockClock) -> None:
    """A shutdown during the wait before a restart ends the wait."""
    actor = Scripted(crash)
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        await harness.supervisor.start("actor", actor)
        await wait_all_tasks_blocked()
        assert harness.state("actor") is ActorState.RESTARTING
        nursery.cancel_scope.cancel()
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.STOPPED


async def test_mixed_group_at_shutdown_passes_the_error_on_and_restarts_nothing() -> None:
    """An actor that fails while it is cancelled is not restarted, and its failure is not lost."""

    async def fail_when_cancelled(actor: Scripted) -> None:
        async with trio.open_nursery() as below:
            below.start_soon(trio.sleep_forever)
            actor.task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                raise Crash("while closing")

    actor = Scripted(fail_when_cancelled)
    harness = Harness()
    with pytest.RaisesGroup(Crash, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            harness.supervise(nursery)
            await harness.supervisor.start("actor", actor)
            nursery.cancel_scope.cancel()
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.FAILED
    assert harness.events("actor_restarted") == []


# --------------------------------------------------------------------- stopping


async def test_stopping_lets_a_permanent_actor_return(harness: Harness) -> None:
    """Once shutdown has begun, an actor that returns has finished; its waiters learn so."""
    gate = trio.Event()

    async def until_gate(actor: Scripted) -> None:
        actor.task_status.started()
        await gate.wait()

    actor = Scripted(until_gate)
    await harness.supervisor.start("actor", actor)
    harness.supervisor.stopping()
    async with trio.open_nursery() as waiting:
        waiting.start_soon(harness.supervisor.wait_ended, "actor")
        waiting.start_soon(harness.supervisor.wait_ended, "actor")
        await wait_all_tasks_blocked()
        gate.set()
    await harness.supervisor.wait_ended("actor")
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.STOPPED
    assert harness.events() == ["actor_started", "actor_stopped"]


async def test_stopping_does_not_restart_what_fails(harness: Harness) -> None:
    """An actor that fails during shutdown is logged as failed and left."""
    gate = trio.Event()

    async def crash_at_gate(actor: Scripted) -> None:
        actor.task_status.started()
        await gate.wait()
        raise Crash

    actor = Scripted(crash_at_gate)
    await harness.supervisor.start("actor", actor)
    harness.supervisor.stopping()
    gate.set()
    await harness.supervisor.wait_ended("actor")
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.FAILED
    assert (harness.supervisor.states()["actor"].failure or "").startswith("Crash")
    assert len(harness.events("actor_failed")) == 1


async def test_wait_ended_of_an_unknown_actor_returns(harness: Harness) -> None:
    """If there is no such actor, there is nothing to wait for."""
    with trio.fail_after(1):
        await harness.supervisor.wait_ended("nobody")


async def test_actor_that_waits_for_its_restart_has_its_say_at_once_at_the_end(
    autojump_clock: MockClock,
) -> None:
    """On shutdown a pending restart happens at once, so a phase may be shorter than the wait."""

    async def finish(actor: Scripted) -> None:
        actor.task_status.started()
        await trio.lowlevel.checkpoint()

    actor = Scripted(crash, finish)
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        harness.supervisor.start_soon("actor", actor, Restart.PERMANENT)
        await wait_all_tasks_blocked()
        assert harness.state("actor") is ActorState.RESTARTING
        harness.supervisor.stopping()
        await harness.supervisor.wait_ended("actor")
        assert harness.state("actor") is ActorState.STOPPED
    assert actor.waits == [0.0]
