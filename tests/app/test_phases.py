"""What the phases of a shutdown wait for: see `Phases`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.shutdown import Phase
from actors.supervisor import Restart, RestartLimits, Supervisor
from app.config import Config
from app.phases import Phases, phases_s
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.database.driver import Database
    from actors.inventory import Inventories

LIMITS = Config().shutdown


class Part:
    """An actor that works until released, and inventories that are done when told."""

    def __init__(self) -> None:
        self.finished, self.go = trio.Event(), trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Work."""
        task_status.started()
        await self.go.wait()

    async def wait_finished(self) -> None:
        """Wait until it is done, which is before it ends."""
        await self.finished.wait()

    def terminate(self) -> None:
        """Stand in for a database that is not used here."""


async def passing_world(
    nursery: trio.Nursery, supervisor: Supervisor, inventories: Part | None = None
) -> trio.Event:
    """Go through the world's phase in a task; return an event set once it has passed."""
    passed = trio.Event()
    phases = Phases(
        LIMITS,
        supervisor,
        cast("Database", Part()),
        postgres=None,
        http_ended=None,
        inventories=cast("Inventories | None", inventories),
    )
    [wait] = [step.wait for step in phases.steps() if step.phase is Phase.WORLD]

    async def pass_phase() -> None:
        await wait()
        passed.set()

    nursery.start_soon(pass_phase)
    await wait_all_tasks_blocked()
    return passed


@pytest.mark.parametrize("how", ["finished", "ended", "not there"])
async def test_world_phase_waits_until_inventories_are_done_or_gone(
    autojump_clock: MockClock, how: str
) -> None:
    """Being done is enough; inventories that failed for good never will be."""
    part = Part()
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, RestartLimits(), rng=random.Random(1), log=quiet_log())
        if how != "not there":
            await supervisor.start("inventories", part, Restart.TRANSIENT)
        passed = await passing_world(nursery, supervisor, None if how == "not there" else part)
        assert passed.is_set() == (how == "not there")
        (part.finished if how == "finished" else part.go).set()
        with trio.fail_after(1):
            await passed.wait()
        part.go.set()


async def test_world_phase_waits_for_every_actor_of_the_world(autojump_clock: MockClock) -> None:
    """An added actor is waited for before Storage ends; those that end later are not."""
    part, late = Part(), Part()
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(nursery, RestartLimits(), rng=random.Random(1), log=quiet_log())
        for name in ("storage", "authx", "postgres"):
            await supervisor.start(name, late)
        await supervisor.start("leaderboard", part)
        supervisor.stopping()
        passed = await passing_world(nursery, supervisor)
        assert not passed.is_set()
        part.go.set()
        with trio.fail_after(1):
            await passed.wait()
        late.go.set()


def test_phases_are_those_of_the_bus_and_take_what_is_configured() -> None:
    """Each phase is waited for once, in order."""
    part = cast("Database", Part())
    supervisor = cast("Supervisor", None)
    phases = Phases(LIMITS, supervisor, part, postgres=None, http_ended=None, inventories=None)
    steps = phases.steps()
    assert [step.phase for step in steps] == list(Phase)
    assert [step.phase for step in steps if step.goes_on] == [Phase.EDGE]
    assert sum(step.timeout_s for step in steps) == pytest.approx(phases_s(LIMITS))
