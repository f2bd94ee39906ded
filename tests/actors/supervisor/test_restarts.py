"""Supervision: which actors restart, when and how often, and what happens if that does not help."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors.supervisor import ActorState, Escalation, Restart, RestartLimits
from bus import ActorStopped, Interest, Message, Subscription, Topic, open_broadcast_channel
from tests.actors.supervisor.support import Crash, Harness, Scripted, crash, finish, live

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Body = Callable[["Scripted"], Awaitable[None]]


# --------------------------------------------------------------------- policies


@pytest.mark.parametrize(
    ("policy", "body", "runs"),
    [
        (Restart.PERMANENT, crash, 2),
        (Restart.PERMANENT, finish, 2),
        (Restart.TRANSIENT, crash, 2),
        (Restart.TRANSIENT, finish, 1),
        (Restart.TEMPORARY, crash, 1),
        (Restart.TEMPORARY, finish, 1),
    ],
)
async def test_policy_decides_who_comes_back(
    harness: Harness, autojump_clock: MockClock, policy: Restart, body: Body, runs: int
) -> None:
    """Permanent actors always come back, transient ones after a failure, temporary ones never."""
    actor = Scripted(body, live)
    await harness.supervisor.start("actor", actor, policy)
    await trio.sleep(10)
    assert len(actor.began) == runs
    assert len(harness.events("actor_restarted")) == runs - 1


async def test_policy_temporary_failure_is_logged_and_stays_its_own(
    nursery: trio.Nursery,
) -> None:
    """A temporary actor's failure is logged with its cause and forgotten: no action is needed."""
    told: list[str] = []
    harness = Harness(nursery, on_failed=told.append)
    await harness.supervisor.start("actor", Scripted(crash), Restart.TEMPORARY)
    await harness.supervisor.wait_ended("actor")
    [failed] = harness.events("actor_failed")
    assert isinstance(failed["exc_info"], Crash)
    assert failed["log_level"] == "error"
    assert told == []
    assert harness.supervisor.states() == {}


async def test_policy_finished_actor_is_logged_and_its_name_is_free(harness: Harness) -> None:
    """An actor that has finished is logged as stopped; another may take its name."""
    await harness.supervisor.start("actor", Scripted(finish), Restart.TRANSIENT)
    await harness.supervisor.wait_ended("actor")
    assert harness.events() == ["actor_started", "actor_stopped"]
    await harness.supervisor.start("actor", Scripted(live), Restart.TRANSIENT)
    assert harness.state("actor") is ActorState.READY


# --------------------------------------------------------------------- back-off


async def test_restart_waits_exponentially_with_jitter_up_to_a_limit(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The n-th wait is backoff·2^(n-1), at most the limit, times a factor from ½ to 1."""
    actor = Scripted(crash, crash, crash, live)
    await harness.supervisor.start("actor", actor)
    await trio.sleep(10)
    rng = random.Random(7)
    expected = [full * rng.uniform(0.5, 1.0) for full in (0.1, 0.2, 0.3)]
    assert actor.waits == pytest.approx(expected)
    logged = harness.events("actor_restarted")
    assert [entry["attempt"] for entry in logged] == [1, 2, 3]
    assert [entry["backoff_ms"] for entry in logged] == [round(1000 * wait) for wait in expected]
    assert all(entry["error"] == "Crash: ready, then dead" for entry in logged)
    assert all(isinstance(entry["exc_info"], Crash) for entry in logged)


@given(
    attempt=st.integers(1, 10_000),
    seed=st.integers(),
    backoff_ms=st.floats(0, 1e6),
    backoff_max_ms=st.floats(0, 1e6),
)
def test_backoff_stays_within_its_bounds(
    attempt: int, seed: int, backoff_ms: float, backoff_max_ms: float
) -> None:
    """No wait is longer than the limit or shorter than half of the formula's result."""
    limits = RestartLimits(backoff_ms=backoff_ms, backoff_max_ms=backoff_max_ms)
    wait_s = limits.backoff_s(attempt, random.Random(seed))
    full_s = min(backoff_max_ms, backoff_ms * 2.0 ** min(attempt - 1, 30)) / 1000
    assert full_s / 2 <= wait_s <= full_s


# --------------------------------------------------------------------- the window


async def test_window_full_escalates_and_cancels_the_siblings(autojump_clock: MockClock) -> None:
    """One failure beyond the limits is raised into the nursery, and all siblings end."""
    sibling, actor = Scripted(live), Scripted(crash)
    harness = Harness()
    with pytest.RaisesGroup(
        pytest.RaisesExc(Escalation, match="'actor' failed again after 3")
    ) as caught:
        async with trio.open_nursery() as nursery:
            harness.supervise(nursery)
            await harness.supervisor.start("sibling", sibling)
            await harness.supervisor.start("actor", actor)
            await trio.sleep_forever()
    [escalation] = caught.value.exceptions
    assert isinstance(escalation, Escalation)
    assert (escalation.actor, escalation.restarts) == ("actor", 3)
    assert isinstance(escalation.__cause__, Crash)
    assert len(actor.began) == 4
    assert len(sibling.began) == 1
    assert harness.state("actor") is ActorState.FAILED
    assert harness.state("sibling") is ActorState.STOPPED
    [logged] = harness.events("actor_escalated")
    assert (logged["actor"], logged["restarts"]) == ("actor", 3)
    assert logged["error"] == "Crash: ready, then dead"


async def test_window_counts_returns_of_a_permanent_actor(autojump_clock: MockClock) -> None:
    """A permanent actor that keeps returning escalates like one that keeps failing."""
    harness = Harness()
    with pytest.RaisesGroup(Escalation):
        async with trio.open_nursery() as nursery:
            harness.supervise(nursery)
            await harness.supervisor.start("actor", Scripted(finish))
            await trio.sleep_forever()
    assert "without being told" in harness.events("actor_escalated")[0]["error"]


async def test_window_forgets_restarts_that_are_old_enough(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """An actor that fails now and then lives forever, and its back-off starts afresh."""

    async def crash_after_half_a_minute(actor: Scripted) -> None:
        actor.task_status.started()
        await trio.sleep(30)
        raise Crash

    actor = Scripted(crash_after_half_a_minute)
    await harness.supervisor.start("actor", actor)
    await trio.sleep(3600)
    restarts = harness.supervisor.states()["actor"].restarts
    assert restarts > 100
    assert {entry["attempt"] for entry in harness.events("actor_restarted")} == {1, 2}


async def test_window_boundary_is_the_windows_length(autojump_clock: MockClock) -> None:
    """The restart after restarts_max is allowed once the oldest is window_seconds old."""
    limits = RestartLimits(restarts_max=1, window_seconds=10, backoff_ms=0)

    async def crash_after_ten(actor: Scripted) -> None:
        actor.task_status.started()
        await trio.sleep(10)
        raise Crash

    async def crash_just_before(actor: Scripted) -> None:
        actor.task_status.started()
        await trio.sleep(9.5)
        raise Crash

    actor = Scripted(crash, crash_after_ten, crash_just_before)
    with pytest.RaisesGroup(Escalation):
        async with trio.open_nursery() as nursery:
            await Harness(nursery, limits=limits).supervisor.start("actor", actor)
    assert len(actor.began) == 3


async def test_window_full_calls_on_failed_instead_where_it_is_given(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """With on_failed the failure stays the actor's own: nobody else notices."""
    told: list[str] = []
    harness = Harness(nursery, on_failed=told.append)
    sibling = Scripted(live)
    await harness.supervisor.start("sibling", sibling, Restart.TRANSIENT)
    await harness.supervisor.start("actor", Scripted(crash), Restart.TRANSIENT)
    await harness.supervisor.wait_ended("actor")
    assert told == ["actor"]
    assert harness.events("actor_escalated")
    assert harness.supervisor.states().keys() == {"sibling"}
    assert harness.state("sibling") is ActorState.READY


async def test_crash_touches_no_sibling(harness: Harness, autojump_clock: MockClock) -> None:
    """While one actor is restarted, the others run on undisturbed."""
    sibling, actor = Scripted(live), Scripted(crash, crash, live)
    await harness.supervisor.start("sibling", sibling)
    await harness.supervisor.start("actor", actor)
    await trio.sleep(10)
    assert len(actor.began) == 3
    assert len(sibling.began) == 1
    assert harness.supervisor.states()["sibling"].restarts == 0


async def test_crash_in_a_task_of_the_actor_is_the_actors_own(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """A failure in a task started by the actor restarts the actor and is reported unwrapped."""

    async def crash_below(actor: Scripted) -> None:
        async with trio.open_nursery() as below:
            below.start_soon(crash, actor)
            await trio.sleep_forever()

    actor = Scripted(crash_below, live)
    await harness.supervisor.start("actor", actor)
    await trio.sleep(10)
    assert len(actor.began) == 2
    assert isinstance(harness.events("actor_restarted")[0]["exc_info"], Crash)


async def test_actor_with_limits_of_its_own(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """An actor worth waiting for is restarted however often it fails."""
    patient = Scripted(crash)
    limits = RestartLimits(restarts_max=1_000, backoff_ms=100.0, backoff_max_ms=5_000.0)
    harness = Harness(nursery, own_limits={"patient": limits})
    await harness.supervisor.start("patient", patient)
    await trio.sleep(600)
    assert harness.state("patient") is not ActorState.FAILED
    assert 600 / 5 < len(patient.began) < 600 / 2.5 + 10
    assert max(patient.waits[10:]) <= 5
    assert harness.events("actor_escalated") == []


# --------------------------------------------------------------------- with a mailbox


class Worker:
    """An actor on the bus that dies of bad messages."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer each message with its body; die of "bad"."""
        with self.subscription.answering():
            task_status.started()
            async for message in self.subscription:
                if message.body == "bad":
                    raise Crash
                if message.reply is not None:
                    message.reply.send_nowait(message.body)


async def test_restarted_actor_resumes_its_mailbox(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Waiting messages survive the crash and are answered; the current one gets ActorStopped."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=8)
    await harness.supervisor.start("worker", Worker(subscription))
    answers: dict[str, object] = {}
    learned: dict[str, float] = {}

    async def ask(body: str) -> None:
        try:
            answers[body] = await bus.ask(Topic.TASK, body, timeout_s=60)
        except ActorStopped as stopped:
            answers[body] = type(stopped)
        learned[body] = trio.current_time()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for body in ("first", "bad", "second", "third"):
            nursery.start_soon(ask, body)
    assert answers == {"first": "first", "bad": ActorStopped, "second": "second", "third": "third"}
    assert learned["bad"] == began
    assert harness.supervisor.states()["worker"].restarts == 1


async def test_message_to_an_actor_in_its_back_off_waits_for_it(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Messages sent while the actor is being restarted are answered when it is back."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=8)
    await harness.supervisor.start("worker", Worker(subscription))
    bus.send_nowait(Message(Topic.TASK, "bad"))
    await wait_all_tasks_blocked()
    assert harness.state("worker") is ActorState.RESTARTING
    assert await bus.ask(Topic.TASK, "hello", timeout_s=60) == "hello"
