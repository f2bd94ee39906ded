"""A task of any actor fails at any of its steps: nothing is lost, done twice or left waiting."""

from __future__ import annotations

import random
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import MockClock

from actors.inventory import InventoriesSettings
from actors.inventory.messages import Freeze, Grant, PlaceOrder, SendTransfer, Thaw
from bus import ActorStopped
from tests.actors.inventory.world import a_world, account

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from actors.inventory.messages import InventoryMessage
    from tests.actors.inventory.world import World

ANN, BEN = account(1), account(2)
COMMANDS: Mapping[str, InventoryMessage] = {
    "cart": PlaceOrder(ANN, "cart", 1, "cart", b""),
    "there": SendTransfer(ANN, "ann", BEN, "ben", {"gold": 20}, "", "there", b""),
    "back": SendTransfer(BEN, "ben", ANN, "ann", {"wood": 30}, "", "back", b""),
    "grant": Grant(BEN, {"gold": 7}, "because", "operator", "grant", b""),
}
PASSIVE = InventoriesSettings(idle_seconds=1, mailbox_max=1000)
ID_OF = {
    "cart": attrgetter("order.id"),
    "there": attrgetter("transfer.id"),
    "back": attrgetter("transfer.id"),
    "grant": attrgetter("grant.id"),
}
CART_S = 4
TRIES = 3
PROMPT_S = 1
"""How soon a caller learns that the actor it asked has failed."""
BETWEEN = {"_back_off", "_run_once", "__aexit__"}
"""Where a task runs nothing of an actor's own: in its supervisor, or at the end of a nursery."""


class Crash(Exception):
    """The error that a task dies of."""


@dataclass(eq=False)
class Striker(trio.abc.Instrument):
    """Raises `Crash` in whichever actor's task takes the ``at``-th step while ``striking``."""

    at: int | None
    steps: int = 0
    striking: bool = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count the step, and let it raise if it is the one."""
        if (
            not self.striking
            or not task.name.startswith("actors.")
            or BETWEEN & set(_awaiting(task))
        ):
            return
        self.steps += 1
        if self.steps == self.at:
            # What Trio is about to do with it is to send it the outcome of its wait.
            task._next_send_fn, task._next_send = task.coro.throw, Crash()


def _awaiting(task: trio.lowlevel.Task) -> list[str]:
    """Return the names of the innermost functions that a task is in."""
    names: list[str] = []
    frame: Any = task.coro
    while frame is not None:
        names.append(getattr(frame, "__name__", ""))
        frame = getattr(frame, "cr_await", None)
    return names[-4:]


async def asked(world: World, command: InventoryMessage) -> Any:
    """Ask; return the answer, or None if the actor failed. There is no other outcome."""
    began = trio.current_time()
    try:
        return await world.ask(command)
    except ActorStopped:
        return None
    finally:
        assert trio.current_time() - began <= PROMPT_S


async def insisted(world: World, command: InventoryMessage) -> Any:
    """Ask until there is an answer."""
    for _ in range(TRIES):
        answer = await asked(world, command)
        if answer is not None:
            return answer
        await trio.sleep(PROMPT_S)
    raise AssertionError(command)


async def live_through(striker: Striker) -> None:
    """Have two accounts deal with each other while it strikes; then check what came of it."""
    answers: dict[str, Any] = {}
    async with a_world(settings=PASSIVE) as world:
        striker.striking = True

        async def ask(name: str) -> None:
            answers[name] = await asked(world, COMMANDS[name])

        async with trio.open_nursery() as nursery:
            for name in COMMANDS:
                nursery.start_soon(ask, name)
        await asked(world, Freeze(BEN))
        await trio.sleep(2)
        await asked(world, Thaw(BEN))
        await trio.sleep(CART_S)
        striker.striking = False
        await check(world, answers)


async def check(world: World, answers: Mapping[str, Any]) -> None:
    """Send every command again; then each has taken effect once, as its first answer says."""
    for name, command in COMMANDS.items():
        again = await insisted(world, command)
        if answers[name] is not None:
            assert ID_OF[name](again) == ID_OF[name](answers[name])
    await world.ask(Thaw(BEN))
    await trio.sleep(CART_S + 0.5)
    owned = {who: await world.owned(who) for who in (ANN, BEN)}
    assert owned == {who: await world.replayed(who) for who in (ANN, BEN)}
    assert [owned[who]["gold"] for who in (ANN, BEN)] == [25, 77]
    assert owned[ANN]["cart"] == 1
    assert [order["state"] for order in world.engine.rows("orders")] == ["completed"]
    assert [each["state"] for each in world.engine.rows("transfers")] == ["delivered"] * 2
    for actor in world.supervisor.states().values():
        assert actor.state.value == "ready"
    await trio.sleep(2.5)
    assert (world.courier.in_flight, world.inventories.statistics().live) == (0, 0)


def run(at: int | None) -> int:
    """Run the story with a strike at one step, or none; return how many steps it had."""
    striker = Striker(at)
    trio.run(live_through, striker, clock=MockClock(autojump_threshold=0), instruments=[striker])
    return striker.steps


def test_failure_at_any_step_of_any_actor_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked learns at once; the same key then gets the same answer; the sums are right."""
    for at in range(1, run(None) + 1):
        # Trio shuffles the tasks of each turn: this way a step is the same in every run.
        monkeypatch.setattr("trio._core._run._r", random.Random(at))
        run(at)
