"""Activation, passivation, isolation of failures, and due accounts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from actors.inventory import COURIER_KEY, InventoriesSettings
from actors.inventory.messages import GetEvents, GetInventory
from actors.shutdown import Phase, Shutdown
from actors.ticker import TICKER_KEY
from bus import ActorStopped, BusError, Message, Overloaded, Topic
from tests.actors.inventory.world import a_world, account

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from bus import Bus
    from tests.actors.inventory.world import World

ANN, BEN, CAT = account(1), account(2), account(3)


async def test_account_is_live_only_while_it_is_used(autojump_clock: MockClock) -> None:
    """The first message brings an Inventory to life; when idle, it leaves memory again."""
    async with a_world(settings=InventoriesSettings(idle_seconds=30)) as world:
        assert world.inventories.statistics().live == 0
        await world.look(ANN)
        await trio.sleep(20)
        await world.look(ANN)
        await trio.sleep(20)
        assert world.inventories.statistics().live == 1
        await trio.sleep(20)
        statistics = world.inventories.statistics()
        assert (statistics.live, statistics.activations, statistics.passivations) == (0, 1, 1)
        # Bus, Storage, Ticker, manager, courier: nothing is left of the account.
        assert world.bus.statistics().subscriptions == 4


async def test_passivated_account_comes_back_as_it_was(autojump_clock: MockClock) -> None:
    """Passivation loses nothing: orders go on, and possessions are still there."""
    async with a_world(settings=InventoriesSettings(idle_seconds=2)) as world:
        placed = await world.order(ANN, "hut")
        await trio.sleep(5)
        assert world.inventories.statistics().live == 0
        [order] = (await world.look(ANN)).orders
        assert order == placed.order


async def test_orders_stay_encoded_as_long_as_their_account_is_live(
    autojump_clock: MockClock,
) -> None:
    """However it is read, an account has one cache, of its own, which leaves memory with it."""
    async with a_world(settings=InventoriesSettings(idle_seconds=2)) as world:
        first = (await world.look(ANN)).encoded
        await world.order(ANN, "hut")
        assert first is not None
        assert (await world.look(BEN)).encoded not in (first, None)
        peeked = world.inventories.peek(ANN)
        assert peeked is not None
        assert peeked.encoded is (await world.look(ANN)).encoded is first
        followed = await world.ask(GetEvents(ANN, None, 10))
        assert followed.now.encoded is first
        await trio.sleep(5)
        assert (await world.look(ANN)).encoded not in (first, None)


async def test_what_another_server_has_written_is_seen(autojump_clock: MockClock) -> None:
    """On notice, the inventories restart: nobody is shown the previously cached state."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        world.engine.row("inventories", ANN)["version"] = 7
        before = world.inventories.peek(ANN)
        assert before is not None
        assert before.version == 2
        world.inventories.begin_anew()
        await trio.sleep(1)
        assert world.inventories.peek(ANN) is None
        assert (await world.look(ANN)).version == 7
        await world.order(ANN, "hut")
        assert not world.events("inventory_changed_elsewhere")
        [restart] = world.events("actor_restarted")
        assert restart["error"] == (
            "ChangedElsewhere: another server may have written to the database in the meantime"
        )


@asynccontextmanager
async def a_world_that_begins_anew_without_its_database() -> AsyncGenerator[World]:
    """Run a world that Ann has looked at, whose inventories are to restart and cannot."""
    async with a_world() as world:
        await world.look(ANN)
        world.engine.away = True
        world.inventories.begin_anew()
        yield world


async def test_database_that_is_away_does_not_use_the_restarts_up(
    autojump_clock: MockClock,
) -> None:
    """Inventories restarting during an outage do so when it ends, however long it lasts."""
    async with a_world_that_begins_anew_without_its_database() as world:
        await trio.sleep(600)
        world.engine.away = False
        await trio.sleep(10)
        assert (await world.look(ANN)).version == 1
        assert len(world.events("actor_restarted")) == 1


async def test_end_of_the_world_is_heard_while_the_database_is_away(
    autojump_clock: MockClock,
) -> None:
    """Between two restart attempts inventories drop messages, and end in their phase."""
    async with a_world_that_begins_anew_without_its_database() as world:
        await trio.sleep(31)
        with pytest.raises(ActorStopped), trio.fail_after(31):
            await world.look(ANN)
        world.supervisor.stopping()
        await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "test")))
        with trio.fail_after(31):
            await world.inventories.wait_finished()
        world.engine.away = False


async def test_nothing_is_shown_while_another_server_writes(autojump_clock: MockClock) -> None:
    """Without the lock, stored state may change at any time: it is reread with the lock."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        world.engine.close_gate()
        world.inventories.begin_anew()
        await trio.sleep(0.1)
        for _ in range(2):
            with pytest.raises(BusError):
                await world.look(ANN)
            assert world.inventories.peek(ANN) is None
        # Storage fails with the query in flight: it is repeated.
        world.engine.failures.append(RuntimeError("the lock is another's"))
        world.engine.row("inventories", ANN)["version"] = 7
        world.engine.open_gate()
        await trio.sleep(5)
        # The hut was finished meanwhile.
        assert (await world.look(ANN)).version == 8
        restarted = [event["actor"] for event in world.events("actor_restarted")]
        assert sorted(restarted) == ["inventories", "storage"]


async def test_longest_idle_account_makes_room(autojump_clock: MockClock) -> None:
    """Beyond ``live_max`` the longest idle leaves; the bound holds and all are served."""
    async with a_world(settings=InventoriesSettings(live_max=2)) as world:
        for who in (ANN, BEN, ANN, CAT, BEN, ANN):
            await world.look(who)
            assert world.inventories.statistics().live <= 2
        assert world.inventories.statistics().passivations == 3


async def test_no_room_while_all_are_busy_is_overload(autojump_clock: MockClock) -> None:
    """If every live account has work in flight, another one is refused at once, not queued."""
    async with a_world(settings=InventoriesSettings(live_max=1)) as world:
        await world.look(ANN)
        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.order, ANN, "hut")
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            with pytest.raises(Overloaded):
                await world.look(BEN)
            assert trio.current_time() == began
            world.engine.open_gate()
        await world.look(BEN)


async def test_message_beyond_a_full_mailbox_is_overload(autojump_clock: MockClock) -> None:
    """A message that waited for an account to come to life, and finds no room, is refused."""
    async with a_world(settings=InventoriesSettings(mailbox_max=1)) as world:
        world.engine.close_gate()
        refused: list[Exception] = []

        async def look() -> None:
            try:
                await world.look(ANN)
            except BusError as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            world.engine.open_gate()
        assert 3 <= len(refused) <= 4
        assert {type(error) for error in refused} == {Overloaded}


async def test_crash_of_one_account_touches_no_other(autojump_clock: MockClock) -> None:
    """A failure in one account stops only that account; the others do not notice."""
    async with a_world() as world:
        for who in (ANN, BEN):
            await world.look(who)
        await trio.sleep(61)
        world.engine.row("inventories", ANN)["state"] = "{}"
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(_expect_stopped, world.bus, ANN)
            for _ in range(5):
                nursery.start_soon(world.look, BEN)
        assert world.supervisor.states()["inventories"].restarts == 0
        assert world.events("actor_restarted")


async def test_account_that_keeps_failing_is_let_go_and_tried_afresh(
    autojump_clock: MockClock,
) -> None:
    """Restarts are bounded; once the cause is gone, the next message is served normally."""
    async with a_world() as world:
        await world.look(ANN)
        await trio.sleep(61)
        row = world.engine.row("inventories", ANN)
        sound, row["state"] = row["state"], "{}"
        for _ in range(8):
            await _expect_stopped(world.bus, ANN)
            await trio.sleep(1)
        assert world.events("inventory_given_up")
        row = world.engine.row("inventories", ANN)
        row["state"] = sound
        assert (await world.look(ANN)).account_id == ANN


async def test_tick_costs_by_what_is_due(autojump_clock: MockClock) -> None:
    """Among many accounts, only those with something due are touched; none is brought to life."""
    async with a_world(settings=InventoriesSettings(idle_seconds=1)) as world:
        for number in range(50):
            await world.look(account(number))
        for number in (7, 8):
            await world.order(account(number), "hut")
        await trio.sleep(5)
        before, units = world.inventories.statistics(), len(world.engine.units)
        await trio.sleep(30)
        assert world.inventories.statistics() == before
        # Apart from the ticks, one unit for both.
        later = [unit for unit in world.engine.units[units:] if len(unit) > 1]
        assert len(later) == 1
        assert world.stored(account(7))["hut"] == 1


async def test_many_due_at_once_are_all_settled(autojump_clock: MockClock) -> None:
    """More accounts than fit a page come due in one tick; every one is completed."""
    settings = InventoriesSettings(idle_seconds=1, due_page=16, live_max=40)
    async with a_world(settings=settings) as world:
        for number in range(60):
            await world.order(account(number), "hut")
        await trio.sleep(15)
        assert all(world.stored(account(number))["hut"] == 1 for number in range(60))


async def test_due_account_that_cannot_be_settled_holds_up_nobody(
    autojump_clock: MockClock,
) -> None:
    """A broken account stays due; those behind it are still settled."""
    settings = InventoriesSettings(idle_seconds=1, due_page=1)
    async with a_world(settings=settings) as world:
        await world.order(ANN, "hut")
        await trio.sleep(2)
        await world.order(BEN, "hut")
        world.engine.row("inventories", ANN)["state"] = "{}"
        await trio.sleep(40)
        assert world.stored(BEN)["hut"] == 1


async def test_shutdown_finishes_the_mailboxes(autojump_clock: MockClock) -> None:
    """Messages in a mailbox when the shutdown began are handled and answered."""
    async with a_world() as world:
        await world.look(ANN)
        world.engine.close_gate()
        answered: list[object] = []

        async def order(number: int) -> None:
            answered.append(await world.order(ANN, "cart", 1, key=f"late-{number}"))

        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(order, number)
            await trio.testing.wait_all_tasks_blocked()
            await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "enough")))
            await trio.testing.wait_all_tasks_blocked()
            assert not answered
            world.engine.open_gate()
        assert len(answered) == 2


async def test_shutdown_does_not_wait_for_inventories_that_only_have_to_go(
    autojump_clock: MockClock,
) -> None:
    """All are known to be done while most are still there; then they go, a few at a time."""
    async with a_world() as world:
        for number in range(200):
            await world.look(account(number))
        left: list[int] = []

        async def watch() -> None:
            await world.inventories.wait_finished()
            left.append(world.inventories.statistics().live)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            assert not left
            world.supervisor.stopping()
            await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "enough")))
            await world.supervisor.wait_ended("inventories")
        assert left[0] > 100
        assert world.inventories.statistics().live == 0


async def _expect_stopped(bus: Bus, who: str) -> None:
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.TASK, GetInventory(who), key=who, timeout_s=30)


@pytest.mark.parametrize("key", [CAT, COURIER_KEY, TICKER_KEY])
async def test_whoever_asks_after_the_end_learns_at_once(
    key: str, autojump_clock: MockClock
) -> None:
    """Whatever the shutdown left behind answers nobody, and nobody waits for it in vain."""
    async with a_world() as world:
        await world.look(ANN)
        await world.bus.send(Message(Topic.SHUTDOWN, Shutdown(Phase.WORLD, "the test")))
        world.supervisor.stopping()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with pytest.raises(ActorStopped):
            await world.bus.ask(Topic.TASK, GetInventory(CAT), key=key, timeout_s=20)
        assert trio.current_time() == began


@pytest.mark.parametrize("key", [CAT, COURIER_KEY])
async def test_whoever_asks_what_is_not_understood_learns_at_once(
    key: str, autojump_clock: MockClock
) -> None:
    """Neither the manager nor the courier leaves a caller waiting for the next message."""
    async with a_world() as world:
        began = trio.current_time()
        with pytest.raises(ActorStopped):
            await world.bus.ask(Topic.TASK, object(), key=key, timeout_s=20)
        assert trio.current_time() == began
        assert len(world.events("message_not_understood")) == 1


async def test_many_messages_are_delivered_in_one_turn_of_the_loop(
    autojump_clock: MockClock,
) -> None:
    """In a busy loop a turn takes long, so a caller waits for few of them."""
    async with a_world() as world:
        world.engine.close_gate()
        asked = [world.bus.open_reply() for _ in range(200)]
        for number, (reply, _) in enumerate(asked):
            body = GetInventory(account(number))
            world.bus.send_nowait(Message(Topic.TASK, body, body.account_id, reply))
        for _ in range(12):
            await trio.lowlevel.checkpoint()
        statistics = world.inventories.statistics()
        assert statistics.live + statistics.activating >= 200
        world.engine.open_gate()
        for _, pending in asked:
            await pending.wait(60)
