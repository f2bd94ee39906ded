"""Supervision: a child nursery per actor, restarted by policy, escalating when that fails.

An actor's `Exception` ends here, in a restart or as its policy says. A `Cancelled` passes, alone or
in a group; what an actor raises after it has been cancelled is logged and restarts nothing, so a
cancellation is never mistaken for a crash. Large sets of actors (one Inventory per account) run
under their own supervisor, whose failures do not escalate.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import trio

from actors.failures import leaves, one_line, unwrapped

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger


class Restart(Enum):
    """When to restart an actor that has ended."""

    PERMANENT = "permanent"
    """Always, even if it returned without being told to shut down."""

    TRANSIENT = "transient"
    """After a failure; an actor that returns has finished."""

    TEMPORARY = "temporary"
    """Never; its failure is logged and stays its own."""


class ActorState(Enum):
    """Where an actor is in its life."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    FAILED = "failed"


class Actor(Protocol):
    """What the supervisor runs: it reports when it is ready, and returns when it is done."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work until told to stop; call ``task_status.started()`` when ready."""


@dataclass(frozen=True, slots=True)
class RestartLimits:
    """How often an actor may be restarted, and how long to wait before each time.

    At most ``restarts_max`` in any ``window_seconds``; the n-th wait within a window is
    ``backoff_ms · 2^(n-1)``, at most ``backoff_max_ms``, times a random factor from ½ to 1.
    """

    restarts_max: int = 5
    window_seconds: float = 60.0
    backoff_ms: float = 50.0
    backoff_max_ms: float = 5_000.0

    def backoff_s(self, attempt: int, rng: random.Random) -> float:
        """Compute the seconds to wait before restart number ``attempt`` (from 1)."""
        full_ms = min(self.backoff_max_ms, self.backoff_ms * 2.0 ** min(attempt - 1, 30))
        return full_ms / 1000 * rng.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class ActorStatus:
    """One actor as its supervisor sees it.

    ``since_s`` is when it entered its state, on Trio's clock; ``failure`` describes in one line
    what it last failed with.
    """

    state: ActorState
    restarts: int
    policy: Restart
    since_s: float
    failure: str | None


class ActorNotReady(Exception):
    """An actor returned before it was ready for the first time."""

    def __init__(self, actor: str) -> None:
        super().__init__(f"actor {actor!r} ended before it was ready")
        self.actor = actor


class Escalation(Exception):
    """An actor failed more often than its limits allow; raised out of the supervisor."""

    def __init__(self, actor: str, restarts: int) -> None:
        super().__init__(f"actor {actor!r} failed again after {restarts} restarts")
        self.actor = actor
        self.restarts = restarts


class _Tally:
    """Counts of a supervisor's actors in states that are worth counting."""

    __slots__ = ("starting",)

    def __init__(self) -> None:
        self.starting = 0


class _Child:
    """One supervised actor: its state, the times of its restarts, and its readiness."""

    __slots__ = (
        "_log",
        "_starter",
        "_state",
        "_tally",
        "actor",
        "ended",
        "failure",
        "name",
        "policy",
        "restarts",
        "since_s",
        "window",
    )

    def __init__(
        self,
        name: str,
        actor: Actor,
        policy: Restart,
        log: Callable[..., object],
        tally: _Tally,
    ) -> None:
        self.name = name
        self.actor = actor
        self.policy = policy
        self._state = ActorState.STARTING
        self._tally = tally
        tally.starting += 1
        self.since_s = trio.current_time()
        self.failure: str | None = None
        self.restarts = 0
        self.window: deque[float] | None = None
        self.ended: trio.Event | None = None
        self._starter: trio.TaskStatus[None] | None = None
        self._log = log

    @property
    def state(self) -> ActorState:
        """Where the actor is in its life."""
        return self._state

    @state.setter
    def state(self, state: ActorState) -> None:
        if self._state is ActorState.STARTING:
            self._tally.starting -= 1
        self._state = state
        self.since_s = trio.current_time()

    @property
    def awaited(self) -> bool:
        """Whether the first readiness is still being awaited."""
        return self._starter is not None

    def report_to(self, starter: trio.TaskStatus[None]) -> None:
        """Remember the task that waits for the first readiness."""
        self._starter = starter

    def started(self, value: None = None) -> None:
        """Mark the actor as ready, on its own report: this is its ``task_status``."""
        self.state = ActorState.READY
        self._log("actor_started", actor=self.name, restarts=self.restarts)
        starter, self._starter = self._starter, None
        if starter is not None:
            starter.started(value)

    def may_restart(self, limits: RestartLimits, now: float) -> bool:
        """Record a restart at ``now`` (seconds) unless the window is full."""
        window = self.window = self.window or deque()
        while window and window[0] <= now - limits.window_seconds:
            window.popleft()
        if len(window) >= limits.restarts_max:
            return False
        window.append(now)
        self.restarts += 1
        return True


class Supervisor:
    """Runs actors in child nurseries under the nursery that it is given.

    The nursery is the composer's. When an actor fails beyond its limits, `Escalation` is raised
    into that nursery, which cancels the siblings and reaches the root; if ``on_failed`` is given,
    it is called instead and the failure stays the actor's own. ``own_limits``, by name, override
    ``limits`` for some actors. ``quiet`` keeps the ordinary starts and stops of large sets of
    actors out of the log's level ``info``.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        limits: RestartLimits,
        *,
        rng: random.Random,
        log: FilteringBoundLogger,
        on_failed: Callable[[str], None] | None = None,
        own_limits: Mapping[str, RestartLimits] = MappingProxyType({}),
        quiet: bool = False,
    ) -> None:
        self._nursery = nursery
        self._limits = limits
        self._own_limits = own_limits
        self._rng = rng
        self._log = log
        self._on_failed = on_failed
        self._log_life = log.debug if quiet else log.info
        self._children: dict[str, _Child] = {}
        self._tally = _Tally()
        self._stop_begun = trio.Event()
        self._restarts = 0

    @property
    def restarts(self) -> int:
        """How often any of its actors was restarted, including actors that are gone."""
        return self._restarts

    @property
    def starting(self) -> int:
        """How many of its actors have not yet become ready."""
        return self._tally.starting

    async def start(self, name: str, actor: Actor, policy: Restart = Restart.PERMANENT) -> None:
        """Start an actor and wait until it is ready for the first time.

        A failure before that is not retried: a program that cannot start should say why.

        Raises:
            ValueError: an actor of this name already exists.
            ActorNotReady: it returned without being ready.
            Exception: whatever kept the actor from becoming ready.
        """
        await self._nursery.start(self._starting, self._adopt(name, actor, policy))

    def start_soon(self, name: str, actor: Actor, policy: Restart) -> None:
        """Start an actor without waiting; a failure at the start counts like any other.

        Raises:
            ValueError: an actor of this name already exists.
        """
        self._nursery.start_soon(self._supervise, self._adopt(name, actor, policy))

    def stopping(self) -> None:
        """Announce that shutdown has begun: from now on an actor that ends has finished.

        One that waits for its restart is started at once, to finish its pending work.
        """
        self._stop_begun.set()

    def states(self) -> Mapping[str, ActorStatus]:
        """Return the state of every actor by its name."""
        return {
            child.name: ActorStatus(
                child.state, child.restarts, child.policy, child.since_s, child.failure
            )
            for child in self._children.values()
        }

    def all_ready(self) -> bool:
        """Whether every permanent actor is ready."""
        return all(
            child.state is ActorState.READY
            for child in self._children.values()
            if child.policy is Restart.PERMANENT
        )

    async def wait_ended(self, name: str) -> None:
        """Wait until the actor has stopped or failed for good; at once if there is none."""
        child = self._children.get(name)
        if child is None or child.state in {ActorState.STOPPED, ActorState.FAILED}:
            await trio.lowlevel.checkpoint()
            return
        if child.ended is None:
            child.ended = trio.Event()
        await child.ended.wait()

    def _adopt(self, name: str, actor: Actor, policy: Restart) -> _Child:
        if name in self._children:
            msg = f"actor {name!r} is supervised already"
            raise ValueError(msg)
        child = _Child(name, actor, policy, self._log_life, self._tally)
        self._children[name] = child
        return child

    async def _starting(
        self, child: _Child, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        child.report_to(task_status)
        await self._supervise(child)

    async def _supervise(self, child: _Child) -> None:
        try:
            while self._goes_on(child, failure := await self._run_once(child)):
                await self._back_off(child, failure)
        except BaseException as ending:
            if not all(isinstance(leaf, trio.Cancelled) for leaf in leaves(ending)):
                child.state = ActorState.FAILED
            raise
        finally:
            if child.state is not ActorState.FAILED:
                child.state = ActorState.STOPPED
            if child.policy is not Restart.PERMANENT:
                del self._children[child.name]
            if child.ended is not None:
                child.ended.set()

    async def _run_once(self, child: _Child) -> Exception | None:
        """Run the actor in its child nursery; return what it failed with."""
        try:
            async with trio.open_nursery():
                await child.actor.run(task_status=child)
        except Exception as error:  # noqa: BLE001 - this is what a supervisor is for
            failure = unwrapped(error)
        else:
            return None
        if trio.current_effective_deadline() == -math.inf:
            # It was told to end, and failed while ending.
            child.failure = _reason(failure)
            # At its start, what it needs may have been taken away to make it end.
            log = self._log.debug if child.awaited else self._log.error
            log("actor_failed", actor=child.name, exc_info=failure)
            await trio.lowlevel.checkpoint_if_cancelled()
        return failure

    def _goes_on(self, child: _Child, failure: Exception | None) -> bool:
        """Decide by policy and limits whether to restart an actor that has ended."""
        if child.awaited:
            raise failure or ActorNotReady(child.name)
        if failure is not None:
            child.failure = _reason(failure)
        if not self._comes_back(child, failure):
            return False
        limits = self._own_limits.get(child.name, self._limits)
        if not child.may_restart(limits, trio.current_time()):
            self._give_up(child, failure)
            return False
        self._restarts += 1
        return True

    def _comes_back(self, child: _Child, failure: Exception | None) -> bool:
        """Decide by policy whether to restart an actor that has ended."""
        if failure is None and (self._stop_begun.is_set() or child.policy is not Restart.PERMANENT):
            self._log_life("actor_stopped", actor=child.name)
            return False
        if failure is not None and (self._stop_begun.is_set() or child.policy is Restart.TEMPORARY):
            child.state = ActorState.FAILED
            self._log.error("actor_failed", actor=child.name, exc_info=failure)
            if self._on_failed is not None and child.policy is not Restart.TEMPORARY:
                self._on_failed(child.name)
            return False
        return True

    def _give_up(self, child: _Child, failure: Exception | None) -> None:
        child.state = ActorState.FAILED
        self._log.error(
            "actor_escalated", actor=child.name, restarts=child.restarts, error=_reason(failure)
        )
        if self._on_failed is None:
            raise Escalation(child.name, child.restarts) from failure
        self._on_failed(child.name)

    async def _back_off(self, child: _Child, failure: Exception | None) -> None:
        child.state = ActorState.RESTARTING
        child.failure = _reason(failure)
        attempt = len(child.window or ())
        wait_s = self._own_limits.get(child.name, self._limits).backoff_s(attempt, self._rng)
        self._log.warning(
            "actor_restarted",
            actor=child.name,
            attempt=attempt,
            backoff_ms=round(wait_s * 1000),
            error=_reason(failure),
            exc_info=failure,
        )
        with trio.move_on_after(wait_s):
            await self._stop_begun.wait()


def _reason(failure: Exception | None) -> str:
    return "returned without being told to" if failure is None else one_line(failure)
