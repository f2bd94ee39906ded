"""A unit that was given up as unknown and takes effect later: nobody sees the state before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from actors.inventory import InventoriesSettings
from actors.inventory.messages import Forget, GetEvents, PlaceOrder, ReceiveTransfer
from actors.inventory.views import Placed
from bus import ActorStopped, Message, ReplyTimeout, Topic
from tests.actors.inventory.world import a_world, account

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.inventory.messages import InventoryMessage
    from tests.actors.inventory.world import World

ANN, BEN = account(1), account(2)
HUT_S = 10
RESCAN_S = 5
"""After how long the courier finds transfers nobody has told it of."""
PASSIVE = InventoriesSettings(idle_seconds=1)
"""An account that gets no request for a second is passive."""
PATIENCE_S = 30
"""How long an Inventory of these worlds waits for Storage."""


async def given_up(world: World, *, sends_gold: int = 0) -> None:
    """Have a command of Ann's reach Storage, and be given up there as unknown."""
    world.engine.close_gate()
    with pytest.raises(ReplyTimeout):
        await (world.send(ANN, BEN, gold=sends_gold) if sends_gold else world.order(ANN, "hut"))


@pytest.mark.parametrize("settings", [None, PASSIVE], ids=["live", "passive"])
async def test_reads_never_show_what_was_before_a_unit_that_takes_effect_late(
    autojump_clock: MockClock, settings: InventoriesSettings | None
) -> None:
    """Goods sent are never with both sender and receiver, whoever looks and when."""
    async with a_world(settings=settings) as world:
        await world.look(ANN)
        await world.look(BEN)
        await given_up(world, sends_gold=20)
        await trio.sleep(3)
        assert world.inventories.statistics().live == (0 if settings else 2)
        async with trio.open_nursery() as nursery:
            # The request comes while nobody knows: the answer has to be true when it is given.
            nursery.start_soon(world.look, ANN)
            await trio.sleep(0.5)
            world.engine.open_gate()
        assert (await world.owned(ANN))["gold"] == 30
        await trio.sleep(RESCAN_S + 1)
        assert [(await world.owned(who))["gold"] for who in (ANN, BEN)] == [30, 70]
        peeked = world.inventories.peek(ANN)
        assert peeked is not None
        assert peeked.resources["gold"].amount == 30
        assert peeked.version == world.engine.row("inventories", ANN)["version"]


async def test_nobody_is_answered_while_a_unit_may_take_effect_yet(
    autojump_clock: MockClock,
) -> None:
    """There is no true answer meanwhile; a caller waits no longer than for their own unit."""
    async with a_world() as world:
        await world.look(ANN)
        await world.look(BEN)
        await given_up(world)
        assert world.inventories.peek(ANN) is None
        began = trio.current_time()
        with pytest.raises(ReplyTimeout):
            await world.look(ANN)
        assert trio.current_time() - began <= PATIENCE_S
        # Others, whose units wait for nothing, are read as usual.
        assert (await world.look(BEN)).resources["gold"].amount == 50


async def test_order_that_takes_effect_late_is_completed_while_its_owner_looks_on(
    autojump_clock: MockClock,
) -> None:
    """An Inventory that is looked at all the time stays live, so it has to know of the order."""
    async with a_world() as world:
        await world.look(ANN)
        await given_up(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.look, ANN)
            await trio.sleep(0.5)
            world.engine.open_gate()
        for _ in range(2 * HUT_S):
            await world.look(ANN)
            await trio.sleep(1)
        assert (await world.look(ANN)).buildings == {"hut": 1}
        page = await world.ask(GetEvents(ANN, 0, 100))
        assert [entry.cause for entry in page.entries][-1] == "order-completed"


async def test_inventories_begin_anew_when_what_was_in_hand_is_settled(
    autojump_clock: MockClock,
) -> None:
    """Storage finishes a unit whose caller is gone: all is reread once the outcome can be seen."""
    async with a_world() as world:
        await world.look(ANN)
        await world.look(BEN)
        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_is_dropped, world)
            await trio.sleep(0.5)
            world.inventories.begin_anew()
            await trio.sleep(0.5)
            nursery.start_soon(world.look, ANN)
            await trio.sleep(0.5)
            world.engine.open_gate()
        await trio.sleep(RESCAN_S + 1)
        assert [(await world.owned(who))["gold"] for who in (ANN, BEN)] == [30, 70]


async def test_order_and_transfer_that_took_effect_are_asked_for_again_together(
    autojump_clock: MockClock,
) -> None:
    """Client and courier repeat what nobody could tell them of: both get the first answer."""
    async with a_world() as world:
        sent = (await world.send(ANN, BEN, gold=20)).transfer
        placed = await world.order(BEN, "cart", 1, key="once")
        again: dict[type, object] = {}

        async def ask_again(body: InventoryMessage) -> None:
            again[type(body)] = await world.ask(body)

        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            # While Storage has this unit, the two gather in the mailbox and form the next one.
            nursery.start_soon(world.order, BEN, "hut")
            await wait_all_tasks_blocked()
            await world.bus.send(Message(Topic.TASK, Forget(BEN), BEN))
            nursery.start_soon(ask_again, PlaceOrder(BEN, "cart", 1, "once", b"fingerprint"))
            await wait_all_tasks_blocked()
            nursery.start_soon(ask_again, ReceiveTransfer(BEN, replace(sent, state="sent")))
            await wait_all_tasks_blocked()
            world.engine.open_gate()
        assert again == {PlaceOrder: Placed(placed.order, replayed=True), ReceiveTransfer: sent}
        assert not world.events("actor_restarted")
        assert await world.replayed(BEN) == world.stored(BEN)


async def _is_dropped(world: World) -> None:
    with pytest.raises(ActorStopped):
        await world.send(ANN, BEN, gold=20)
