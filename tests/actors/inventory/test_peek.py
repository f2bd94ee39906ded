"""An inventory looked at instead of asked: the same view, or nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory import InventoriesSettings
from actors.inventory.errors import InventoryError
from tests.actors.inventory.world import World, a_world, account

if TYPE_CHECKING:
    from trio.testing import MockClock

ANN, BEN = account(1), account(2)
HUT_S = 10


async def test_peek_is_what_an_answer_would_be(autojump_clock: MockClock) -> None:
    """Even while resources grow and an order is pending; a passive account is unknown."""
    async with a_world() as world:
        peek = world.inventories.peek
        assert peek(ANN) is None
        await world.order(ANN, "hut")
        seen = peek(ANN)
        assert seen is not None
        assert seen.orders
        assert seen == await world.look(ANN)
        await trio.sleep(3)
        later = peek(ANN)
        assert later is not None
        assert later.resources["wood"].amount > seen.resources["wood"].amount
        assert later == await world.look(ANN)
        assert peek(BEN) is None


async def test_peek_shows_nothing_that_has_come_due(autojump_clock: MockClock) -> None:
    """Whatever has to be stored first is left to the Inventory."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        due = world.inventories._due
        assert due is not None
        # A tick has come, and nothing has acted on it yet.
        due._world.now_ms += 1000 * HUT_S
        assert world.inventories.peek(ANN) is None
        assert (await world.look(ANN)).buildings == {"hut": 1}
        seen = world.inventories.peek(ANN)
        assert seen is not None
        assert seen.buildings == {"hut": 1}


async def test_peek_shows_nothing_while_a_command_is_in_hand_or_waits(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Nobody sees the state before a command that was sent earlier."""
    async with a_world() as world:
        await world.look(ANN)
        assert world.inventories.peek(ANN) is not None
        world.engine.close_gate()
        nursery.start_soon(world.order, ANN, "hut")
        while world.inventories.peek(ANN) is not None:
            await trio.lowlevel.checkpoint()
        await trio.sleep(0.1)
        nursery.start_soon(world.look, ANN)
        await trio.sleep(0.1)
        assert world.inventories.peek(ANN) is None
        world.engine.open_gate()
        await trio.sleep(0.1)
        seen = world.inventories.peek(ANN)
        assert seen is not None
        assert [order.asset for order in seen.orders] == ["hut"]


async def test_peek_of_an_inventory_that_failed_shows_nothing(autojump_clock: MockClock) -> None:
    """Until it runs again and has read the stored state, nothing is known of it."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        world.engine.failures = [RuntimeError("no engine does this")]
        with pytest.raises(Exception, match=r".*"):
            await world.order(ANN, "cart", 1)
        assert world.inventories.peek(ANN) is None
        seen = await world.look(ANN)
        assert world.inventories.peek(ANN) == seen


async def test_peek_counts_as_use(autojump_clock: MockClock) -> None:
    """An account that is peeked at repeatedly is not passivated; nothing is after the end."""
    async with a_world(settings=InventoriesSettings(idle_seconds=5)) as world:
        await world.look(ANN)
        await world.look(BEN)
        for _ in range(12):
            await trio.sleep(1)
            assert world.inventories.peek(ANN) is not None
        assert world.inventories.peek(BEN) is None
        assert world.inventories.statistics().passivations == 1
    assert world.inventories.peek(ANN) is None


async def agreed(world: World) -> None:
    """Compare a peek with an answer of the same tick."""
    for _ in range(10):
        said = await world.look(ANN)
        seen = world.inventories.peek(ANN)
        # A tick may come between the two; anything due with it is for the next answer.
        if seen is not None and seen.tick == said.tick:
            assert seen == said
            return
    pytest.fail("nothing is known by heart")


@settings(max_examples=10)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("wait"), st.integers(1, 15)),
            st.tuples(st.sampled_from(["hut", "mill", "cart", "nothing"]), st.just(1)),
        ),
        max_size=8,
    )
)
def test_peek_never_differs_from_an_answer(steps: list[tuple[str, int]]) -> None:
    """Whatever has happened, a peek shows what the Inventory answers."""

    async def play() -> None:
        async with a_world() as world:
            for step, number in steps:
                if step == "wait":
                    await trio.sleep(number)
                else:
                    with suppress(InventoryError):
                        await world.order(ANN, step, number if step == "cart" else None)
                await agreed(world)

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))
