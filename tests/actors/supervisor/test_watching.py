"""Supervision as operators see it: states, restarts, failures, and which actors are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from actors.supervisor import ActorState, Restart
from tests.actors.supervisor.support import (
    LIMITS,
    Crash,
    Harness,
    Scripted,
    crash,
    finish,
    live,
    stillborn,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Body = Callable[["Scripted"], Awaitable[None]]


async def test_restarting_state_and_count_are_visible(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Over its life an actor is starting, ready, restarting, and ready again, with its restarts."""
    gate = trio.Event()

    async def crash_at_gate(actor: Scripted) -> None:
        actor.task_status.started()
        await gate.wait()
        raise Crash

    async def slow_start(actor: Scripted) -> None:
        await trio.sleep(5)
        await live(actor)

    await harness.supervisor.start("actor", Scripted(crash_at_gate, slow_start))
    assert harness.state("actor") is ActorState.READY
    gate.set()
    await wait_all_tasks_blocked()
    assert harness.state("actor") is ActorState.RESTARTING
    assert not harness.supervisor.all_ready()
    await trio.sleep(10)
    status = harness.supervisor.states()["actor"]
    assert (status.state, status.restarts) == (ActorState.READY, 1)
    assert harness.events() == ["actor_started", "actor_restarted", "actor_started"]
    assert harness.events("actor_started")[-1]["restarts"] == 1


async def test_restarts_are_counted_over_all_actors_also_gone_ones(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The supervisor's count of restarts outlives the actors that were restarted."""
    harness.supervisor.start_soon("gone", Scripted(stillborn, crash, finish), Restart.TRANSIENT)
    await harness.supervisor.start("stays", Scripted(crash, live))
    await trio.sleep(10)
    assert harness.supervisor.states().keys() == {"stays"}
    assert harness.supervisor.restarts == 3


async def test_all_ready_asks_the_permanent_actors_only(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Every permanent actor has to be ready; one that comes and goes is not waited for."""
    await harness.supervisor.start("permanent", Scripted(live))
    harness.supervisor.start_soon("passing", Scripted(stillborn), Restart.TEMPORARY)
    assert harness.state("passing") is ActorState.STARTING
    assert harness.supervisor.all_ready()
    await harness.supervisor.start("another", Scripted(crash, live))
    await wait_all_tasks_blocked()
    assert harness.state("another") is ActorState.RESTARTING
    assert not harness.supervisor.all_ready()


async def test_status_tells_what_an_actor_failed_with_and_since_when(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The last failure stays visible after the restart; each change of state has its time."""
    began = trio.current_time()
    actor = Scripted(crash, live)
    await harness.supervisor.start("phoenix", actor)
    await trio.sleep(10)
    status = harness.supervisor.states()["phoenix"]
    assert (status.state, status.restarts) == (ActorState.READY, 1)
    assert status.policy is Restart.PERMANENT
    assert status.failure == "Crash: ready, then dead"
    assert 0 < status.since_s - began <= LIMITS.backoff_ms / 1000
    await harness.supervisor.start("steady", Scripted(live))
    assert harness.supervisor.states()["steady"].failure is None


async def test_actors_on_their_way_are_counted(harness: Harness, autojump_clock: MockClock) -> None:
    """One counts until it is ready, or has ended before that; restarts do not count again."""

    async def slow(actor: Scripted) -> None:
        await trio.sleep(5)
        await crash(actor)

    supervisor = harness.supervisor
    supervisor.start_soon("slow", Scripted(slow, live), Restart.TRANSIENT)
    supervisor.start_soon("stillborn", Scripted(stillborn), Restart.TEMPORARY)
    assert supervisor.starting == 2
    await trio.sleep(1)
    assert supervisor.starting == 1
    await trio.sleep(10)
    assert supervisor.starting == 0
    assert harness.state("slow") is ActorState.READY


async def test_quiet_supervisor_keeps_ordinary_lives_out_of_the_log(nursery: trio.Nursery) -> None:
    """Starts and stops of very many actors are logged at level debug."""
    harness = Harness(nursery, quiet=True)
    await harness.supervisor.start("actor", Scripted(finish), Restart.TRANSIENT)
    await harness.supervisor.wait_ended("actor")
    assert [entry["log_level"] for entry in harness.log.entries] == ["debug", "debug"]
