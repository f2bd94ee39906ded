"""Actors whose lives are given run by run, and a supervisor over them."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import trio
from structlog.testing import LogCapture

from actors.supervisor import ActorState, RestartLimits, Supervisor
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Body = Callable[["Scripted"], Awaitable[None]]

LIMITS = RestartLimits(restarts_max=3, window_seconds=60.0, backoff_ms=100.0, backoff_max_ms=300.0)


class Scripted:
    """An actor whose runs are given one by one; the last one is repeated."""

    def __init__(self, *runs: Body) -> None:
        self.runs = runs
        self.began: list[float] = []
        self.task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Execute the next run."""
        self.task_status = task_status
        run = self.runs[min(len(self.began), len(self.runs) - 1)]
        self.began.append(trio.current_time())
        await run(self)

    @property
    def waits(self) -> list[float]:
        """Seconds between the beginnings of its runs."""
        return [after - before for before, after in pairwise(self.began)]


class Crash(Exception):
    """The error the actors of these tests die of."""


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
        """Return the log's events, or the entries of one event."""
        if name is None:
            return [entry["event"] for entry in self.log.entries]
        return [entry for entry in self.log.entries if entry["event"] == name]

    def state(self, name: str) -> ActorState:
        """Return an actor's state."""
        return self.supervisor.states()[name].state
