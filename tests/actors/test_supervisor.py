"""Supervision: who is restarted, when, how often, and what happens when that does not help."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture
from trio.testing import wait_all_tasks_blocked

from actors.supervisor import (
    ActorNotReady,
    ActorState,
    Escalation,
    Restart,
    RestartLimits,
    Supervisor,
)
from bus import ActorStopped, Interest, Message, Subscription, Topic, open_broadcast_channel
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Body = Callable[["Scripted"], Awaitable[None]]

LIMITS = RestartLimits(restarts_max=3, window_seconds=60.0, backoff_ms=100.0, backoff_max_ms=300.0)


class Scripted:
    """An actor whose runs are given one by one; the last one is repeated."""

    def __init__(self, *runs: Body) -> None:
        self.runs = runs
        self.began: list[float] = []
        self.task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Do the next run."""
        self.task_status = task_status
        run = self.runs[min(len(self.began), len(self.runs) - 1)]
        self.began.append(trio.current_time())
        await run(self)

    @property
    def waits(self) -> list[float]:
        """Seconds between the beginnings of its runs."""
        return [after - before for before, after in pairwise(self.began)]


class Crash(Exception):
    """What the actors of these tests die of."""


async def crash(actor: Scripted) -> None:
    """Become ready, then fail."""
    await trio.lowlevel.checkpoint()
    actor.task_status.started()
    raise Crash("ready, then dead")


async def stillborn(_actor: Scripted) -> None:
    """Fail before being ready."""
    await trio.lowlevel.checkpoint()
    raise Crash("never ready")


async def finish(actor: Scripted) -> None:
    """Become ready, then return."""
    await trio.lowlevel.checkpoint()
    actor.task_status.started()


async def live(actor: Scripted) -> None:
    """Become ready, then live until cancelled."""
    actor.task_status.started()
    await trio.sleep_forever()


class Harness:
    """A supervisor with its log, in a nursery."""

    supervisor: Supervisor

    def __init__(self, nursery: trio.Nursery | None = None, **options: Any) -> None:
        self.log = LogCapture()
        if nursery is not None:
            self.supervise(nursery, **options)

    def supervise(
        self, nursery: trio.Nursery, limits: RestartLimits = LIMITS, **options: Any
    ) -> None:
        """Make the supervisor."""
        self.supervisor = Supervisor(
            nursery, limits, rng=random.Random(7), log=quiet_log(self.log), **options
        )

    def events(self, name: str | None = None) -> list[Any]:
        """Give the log's events, or the entries of one event."""
        if name is None:
            return [entry["event"] for entry in self.log.entries]
        return [entry for entry in self.log.entries if entry["event"] == name]

    def state(self, name: str) -> ActorState:
        """Give an actor's state."""
        return self.supervisor.states()[name].state


@pytest.fixture
async def harness(nursery: trio.Nursery) -> Harness:
    """Make a supervisor over the test's own nursery."""
    return Harness(nursery)


# --------------------------------------------------------------------- starting


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


async def test_start_says_so_where_an_actor_returns_before_it_is_ready(harness: Harness) -> None:
    """Nothing is retried: an actor that has finished before it began will do so again."""

    async def return_at_once(_actor: Scripted) -> None:
        await trio.lowlevel.checkpoint()

    actor = Scripted(return_at_once)
    with pytest.raises(ActorNotReady, match="'early'"):
        await harness.supervisor.start("early", actor)
    assert len(actor.began) == 1
    assert harness.events("actor_restarted") == []


async def test_actor_with_limits_of_its_own(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """An actor that is worth waiting for is started again however often."""
    patient = Scripted(crash)
    limits = RestartLimits(restarts_max=1_000, backoff_ms=100.0, backoff_max_ms=5_000.0)
    harness = Harness(nursery, own_limits={"patient": limits})
    await harness.supervisor.start("patient", patient)
    await trio.sleep(600)
    assert harness.state("patient") is not ActorState.FAILED
    assert 600 / 5 < len(patient.began) < 600 / 2.5 + 10
    assert max(patient.waits[10:]) <= 5
    assert harness.events("actor_escalated") == []


async def test_start_refuses_a_name_that_is_taken(harness: Harness) -> None:
    """Two actors cannot have one name."""
    await harness.supervisor.start("one", Scripted(live))
    with pytest.raises(ValueError, match="'one'"):
        await harness.supervisor.start("one", Scripted(live))
    with pytest.raises(ValueError, match="'one'"):
        harness.supervisor.start_soon("one", Scripted(live), Restart.TEMPORARY)


async def test_start_soon_counts_a_failure_at_the_start_like_any_other(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """An actor that nobody waits for is restarted although it was never ready."""
    actor = Scripted(stillborn, stillborn, live)
    harness.supervisor.start_soon("soon", actor, Restart.TRANSIENT)
    await trio.sleep(10)
    assert len(actor.began) == 3
    assert harness.state("soon") is ActorState.READY


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
    """A temporary actor's failure is logged with its cause, told, and forgotten."""
    told: list[str] = []
    harness = Harness(nursery, on_failed=told.append)
    await harness.supervisor.start("actor", Scripted(crash), Restart.TEMPORARY)
    await harness.supervisor.wait_ended("actor")
    [failed] = harness.events("actor_failed")
    assert isinstance(failed["exc_info"], Crash)
    assert failed["log_level"] == "error"
    assert told == ["actor"]
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
    """No wait is longer than the limit nor shorter than half of what the formula gives."""
    limits = RestartLimits(backoff_ms=backoff_ms, backoff_max_ms=backoff_max_ms)
    wait_s = limits.backoff_s(attempt, random.Random(seed))
    full_s = min(backoff_max_ms, backoff_ms * 2.0 ** min(attempt - 1, 30)) / 1000
    assert full_s / 2 <= wait_s <= full_s


async def test_restarting_state_and_count_are_visible(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """Through its life an actor is starting, ready, restarting, ready again, with its restarts."""
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
    """Each of them has to be; an actor that comes and goes is not waited for."""
    await harness.supervisor.start("permanent", Scripted(live))
    harness.supervisor.start_soon("passing", Scripted(stillborn), Restart.TEMPORARY)
    assert harness.state("passing") is ActorState.STARTING
    assert harness.supervisor.all_ready()
    await harness.supervisor.start("another", Scripted(crash, live))
    await wait_all_tasks_blocked()
    assert harness.state("another") is ActorState.RESTARTING
    assert not harness.supervisor.all_ready()


# --------------------------------------------------------------------- the window


async def test_window_full_escalates_and_cancels_the_siblings(autojump_clock: MockClock) -> None:
    """One failure more than the limits allow is raised into the nursery, and all siblings end."""
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
    """An actor that fails now and then lives forever, and its back-off begins anew."""

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
    """A failure in a task that the actor started restarts the actor, with its cause laid bare."""

    async def crash_below(actor: Scripted) -> None:
        async with trio.open_nursery() as below:
            below.start_soon(crash, actor)
            await trio.sleep_forever()

    actor = Scripted(crash_below, live)
    await harness.supervisor.start("actor", actor)
    await trio.sleep(10)
    assert len(actor.began) == 2
    assert isinstance(harness.events("actor_restarted")[0]["exc_info"], Crash)


# --------------------------------------------------------------------- cancellation


async def test_cancelled_actor_is_never_restarted(autojump_clock: MockClock) -> None:
    """A cancellation is no crash: the actor is stopped, not started again."""
    actor = Scripted(live)
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        await harness.supervisor.start("actor", actor)
        nursery.cancel_scope.cancel()
    assert len(actor.began) == 1
    assert harness.state("actor") is ActorState.STOPPED
    assert harness.events() == ["actor_started"]


async def test_cancelled_actor_that_fails_in_its_cleanup_is_never_restarted() -> None:
    """A failure on the way out is told, and is no reason to begin again."""

    async def fail_in_cleanup(actor: Scripted) -> None:
        try:
            await live(actor)
        finally:
            raise Crash("while it was ending")

    actor = Scripted(fail_in_cleanup)
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        await harness.supervisor.start("actor", actor)
        nursery.cancel_scope.cancel()
    assert len(actor.began) == 1
    assert harness.events() == ["actor_started", "actor_failed"]
    assert harness.supervisor.restarts == 0
    assert harness.supervisor.states()["actor"].failure == "Crash: while it was ending"


async def test_cancelled_actor_with_cancelled_tasks_is_never_restarted() -> None:
    """A group that holds nothing but cancellations is a cancellation."""

    async def live_twice(actor: Scripted) -> None:
        async with trio.open_nursery() as below:
            below.start_soon(trio.sleep_forever)
            await live(actor)

    actor = Scripted(live_twice)
    async with trio.open_nursery() as nursery:
        harness = Harness(nursery)
        await harness.supervisor.start("actor", actor)
        nursery.cancel_scope.cancel()
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
    """Once shutdown has begun, an actor that returns has finished; whoever waits learns."""
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
    """There is nothing to wait for where there is no actor."""
    with trio.fail_after(1):
        await harness.supervisor.wait_ended("nobody")


async def test_quiet_supervisor_keeps_ordinary_lives_out_of_the_log(nursery: trio.Nursery) -> None:
    """Starts and stops of very many actors are logged at level debug."""
    harness = Harness(nursery, quiet=True)
    await harness.supervisor.start("actor", Scripted(finish), Restart.TRANSIENT)
    await harness.supervisor.wait_ended("actor")
    assert [entry["log_level"] for entry in harness.log.entries] == ["debug", "debug"]


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
    """Waiting messages survive the crash and are answered; the one in hand gets ActorStopped."""
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
    """What is sent while the actor is being restarted is answered when it is back."""
    bus = open_broadcast_channel()
    subscription = bus.subscribe(Interest(Topic.TASK), buffer=8)
    await harness.supervisor.start("worker", Worker(subscription))
    bus.send_nowait(Message(Topic.TASK, "bad"))
    await wait_all_tasks_blocked()
    assert harness.state("worker") is ActorState.RESTARTING
    assert await bus.ask(Topic.TASK, "hello", timeout_s=60) == "hello"


# ------------------------------------------------------------------- being watched


async def test_status_tells_what_an_actor_failed_with_and_since_when(
    harness: Harness, autojump_clock: MockClock
) -> None:
    """The last failure stays in sight after the restart; each change of state has its time."""
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
    """One counts until it is ready, or has ended before; restarts do not count again."""

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
