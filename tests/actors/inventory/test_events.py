"""What an Inventory publishes, and the pages its followers read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from actors.inventory import InventoriesSettings
from actors.inventory.events import RECENT_MAX, LedgerAdvanced, Recent, announce
from actors.inventory.messages import GetEvents, GetInventory, Grant, Settle
from bus import FAN_OUT_SLICE, Interest, Subscription, Topic, open_broadcast_channel
from tests.actors.inventory.world import TOWN, World, a_world, account, ruleset

if TYPE_CHECKING:
    import pytest

    from actors.inventory.views import EventPage

ANN, BEN = account(1), account(2)
ROBOT = """
[units.robot]
cost = {gold = 1}
duration = 4
produces = {wood = 3600}
"""
BARN = """
[buildings.barn]
cost = {wood = 10}
duration = 10
capacity = {wood = 500}
"""
PAGE = 100


def listen(world: World, who: str = ANN) -> Subscription:
    """Follow an account's wake-ups."""
    return world.bus.subscribe(Interest(Topic.EVENT, who), buffer=1)


def latest(subscription: Subscription) -> LedgerAdvanced | None:
    """Take the waiting wake-up, if any."""
    try:
        body = subscription.receive_nowait().body
    except trio.WouldBlock:
        return None
    assert isinstance(body, LedgerAdvanced)
    return body


async def events(world: World, after: int | None, limit: int = PAGE, who: str = ANN) -> EventPage:
    """Read a page."""
    page: EventPage = await world.ask(GetEvents(who, after, limit))
    return page


async def all_told(world: World, page: int = PAGE) -> list[tuple[int, str]]:
    """Read everything from the beginning, page by page."""
    told: list[tuple[int, str]] = []
    while True:
        after = told[-1][0] if told else 0
        got = await events(world, after, page)
        told += [(entry.seq, entry.cause) for entry in got.entries]
        if not got.entries or got.entries[-1].seq == got.seq:
            return told


async def test_commit_wakes_those_who_follow(autojump_clock: MockClock) -> None:
    """Each durable unit is announced under its account, with the ledger's latest entry."""
    async with a_world() as world:
        await world.look(ANN)
        mine, others = listen(world), listen(world, BEN)
        await world.order(ANN, "hut")
        told = latest(mine)
        assert told is not None
        page = await events(world, None)
        assert (told.account_id, told.seq, told.version) == (ANN, page.seq, page.now.version)
        assert latest(others) is None


async def test_unit_that_was_not_committed_wakes_nobody(autojump_clock: MockClock) -> None:
    """Nothing that is not durable is announced, and neither is a read."""
    async with a_world() as world:
        await world.look(ANN)
        mine = listen(world)
        await world.look(ANN)
        await events(world, 0)
        assert latest(mine) is None
        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.order, ANN, "hut")
            await wait_all_tasks_blocked()
            assert latest(mine) is None
            world.engine.open_gate()
        assert latest(mine) is not None


async def test_completion_wakes_though_nobody_asked(autojump_clock: MockClock) -> None:
    """Completions are announced, even for an account that is not in memory."""
    settings = InventoriesSettings(idle_seconds=1)
    async with a_world(settings=settings) as world:
        await world.order(ANN, "hut")
        await trio.sleep(5)
        mine = listen(world)
        assert world.inventories.statistics().live == 0
        await trio.sleep(6)
        assert latest(mine) is not None
        assert "order-completed" in {cause for _, cause in await all_told(world)}


async def test_following_changes_nothing(autojump_clock: MockClock) -> None:
    """Reading events enters nothing, however often, or readers would wake themselves."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        before = world.engine.row("inventories", ANN)["version"]
        for _ in range(20):
            await trio.sleep(0.3)
            await events(world, 0)
        assert world.engine.row("inventories", ANN)["version"] == before


async def test_first_page_is_the_inventory_alone(autojump_clock: MockClock) -> None:
    """Without an id there is no past to report."""
    async with a_world() as world:
        placed = await world.order(ANN, "hut")
        page = await events(world, None)
        assert page.entries == ()
        assert [order.id for order in page.now.orders] == [placed.order.id]
        assert page.seq == len((await world.ledger(ANN)).entries)
        assert (await events(world, page.seq + 7)).entries == ()


async def test_every_step_of_an_order_is_an_entry(autojump_clock: MockClock) -> None:
    """Placed, started, completed, cancelled: each once, in the order of events."""
    async with a_world() as world:
        first = await world.order(ANN, "hut")
        second = await world.order(ANN, "cart", 2)
        third = await world.order(ANN, "cart", 1)
        await world.cancel(ANN, third.order.id)
        await trio.sleep(11)
        await world.cancel(ANN, second.order.id)
        page = await events(world, 0)
        named = {first.order.id: "hut", second.order.id: "carts", third.order.id: "late"}
        told = [
            (named[entry.order_id], entry.cause)
            for entry in page.entries
            if entry.order_id is not None
        ]
        assert told == [
            ("hut", "order-placed"),
            ("hut", "order-started"),
            ("carts", "order-placed"),
            ("late", "order-placed"),
            ("late", "order-cancelled"),
            ("hut", "order-completed"),
            ("carts", "order-started"),
            ("carts", "order-cancelled"),
        ]
        assert {id_: order.state for id_, order in page.orders.items()} == {
            first.order.id: "completed",
            second.order.id: "cancelled",
            third.order.id: "cancelled",
        }


async def test_transfers_come_with_their_entries(autojump_clock: MockClock) -> None:
    """Both sides learn who sent what to whom."""
    async with a_world() as world:
        await world.look(BEN)
        sent = await world.send(ANN, BEN, gold=5)
        for who, cause in ((ANN, "transfer-sent"), (BEN, "transfer-received")):
            page = await events(world, 0, who=who)
            [entry] = [each for each in page.entries if each.transfer_id is not None]
            assert entry.cause == cause
            assert page.transfers[sent.transfer.id].resources == {"gold": 5}


async def test_pages_are_gap_free_whatever_their_size(autojump_clock: MockClock) -> None:
    """Continuing after the last entry of a page reads everything once."""
    async with a_world() as world:
        await world.order(ANN, "cart", 3)
        await trio.sleep(13)
        await world.order(ANN, "hut")
        whole = [(entry.seq, entry.cause) for entry in (await world.ledger(ANN)).entries]
        for size in (1, 2, 3, 100):
            assert await all_told(world, size) == whole


async def test_page_tells_no_entry_beyond_its_inventory(autojump_clock: MockClock) -> None:
    """Entries of commands in the same unit, but after the request, are on the next page."""
    async with a_world() as world:
        await world.look(ANN)
        pages: list[EventPage] = []

        async def read() -> None:
            pages.append(await events(world, 0))

        world.engine.close_gate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.order, ANN, "hut")
            await wait_all_tasks_blocked()
            nursery.start_soon(world.order, ANN, "cart", 1)
            await wait_all_tasks_blocked()
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            nursery.start_soon(world.order, ANN, "cart", 2)
            await wait_all_tasks_blocked()
            world.engine.open_gate()
        [page] = pages
        assert len(page.now.orders) == 2
        assert page.entries[-1].seq == page.seq
        assert sum(entry.cause == "order-placed" for entry in page.entries) == 2


async def test_stock_that_has_filled_up_is_entered_when_followed(
    autojump_clock: MockClock,
) -> None:
    """The moment a stock fills up becomes an entry, once, for its followers."""
    async with a_world() as world:
        await world.look(ANN)
        await trio.sleep(899)
        assert (await events(world, 1)).entries == ()
        await trio.sleep(2)
        [entry] = (await events(world, 1)).entries
        assert entry.cause == "production"
        assert entry.changes["wood"].balance == 1_000
        await trio.sleep(100)
        assert (await events(world, entry.seq)).entries == ()


async def test_stock_filled_by_units_of_a_batch_is_entered_when_followed(
    autojump_clock: MockClock,
) -> None:
    """Units that make more are delivered without an entry, and fill a stock sooner."""
    async with a_world(rules=ruleset(TOWN + ROBOT)) as world:
        await world.order(ANN, "robot", 40)
        before = await events(world, None)
        assert before.shifting
        await trio.sleep(90)
        page = await events(world, before.seq)
        assert page.shifting
        assert page.now.resources["wood"].amount == 1_000
        assert [entry.full for entry in page.entries if entry.full] == [("wood",)]
        version = page.now.version
        assert (await events(world, page.seq)).now.version == version
        await trio.sleep(100)
        assert not (await events(world, page.seq)).shifting


async def test_entry_says_for_ever_what_it_filled(autojump_clock: MockClock) -> None:
    """However late it is read, the capacity of its own moment counts, not that of today."""
    async with a_world(rules=ruleset(TOWN + BARN)) as world:
        await world.look(ANN)
        await trio.sleep(901)
        await events(world, 1)
        await world.order(ANN, "barn")
        await trio.sleep(600)
        page = await events(world, 0)
        assert page.now.resources["wood"].capacity == 1_500
        filled = [(entry.changes["wood"].balance, *entry.full) for entry in page.entries[1:2]]
        assert filled == [(1_000, "wood")]
        told = [(entry.cause, entry.full) for entry in page.entries if entry.full]
        # What the order took has grown back before the barn stood, and then the barn is full.
        assert told == [("production", ("wood",))] * 3


async def test_followers_of_a_commit_are_answered_without_the_database(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All who wake for a commit ask for the same entries: nothing is read back."""
    async with a_world() as world:
        await world.order(ANN, "hut")
        mine = listen(world)
        before = (await events(world, None)).seq
        placed = await world.order(ANN, "cart", 2)
        await trio.sleep(11)
        assert latest(mine) is not None
        expected = await events(world, before - 1)

        async def fail(*_: object) -> None:
            raise AssertionError

        monkeypatch.setattr(world.engine, "read", fail)
        page = await events(world, before)
        assert page.entries == expected.entries[1:]
        assert page.orders[placed.order.id].state == "running"
        assert page.orders == expected.orders
        assert len((await events(world, before, 2)).entries) == 2


async def test_recent_entries_are_kept_within_bounds(autojump_clock: MockClock) -> None:
    """However long an account is followed, only the latest entries are kept in memory."""
    async with a_world() as world:
        await world.look(ANN)
        _mine = listen(world)
        for _ in range(2 * RECENT_MAX):
            placed = await world.order(ANN, "cart", 1)
            await world.cancel(ANN, placed.order.id)
            await world.ask(_refill(world))
        page = await events(world, 0, 5_000)
        last = page.entries[-RECENT_MAX:]
        recent = Recent().and_then(page.entries, ())
        assert recent.entries == last
        assert recent.after(last[0].seq - 2, page.seq, 100) is None
        assert recent.after(last[0].seq - 1, page.seq, 100) == last
        assert recent.after(last[0].seq, page.seq + 1, 100) is None


def _refill(world: World) -> Grant:
    """Refund an order's cost, so that another can be placed."""
    world.keys += 1
    return Grant(ANN, {"gold": 3}, "a test", "me", f"refill-{world.keys}", b"x")


async def test_announcement_reaches_more_than_one_slice() -> None:
    """However many follow one account, a commit wakes them all."""
    with open_broadcast_channel() as bus:
        many = [
            bus.subscribe(Interest(Topic.EVENT, ANN), buffer=1) for _ in range(FAN_OUT_SLICE + 1)
        ]
        await announce(bus, ANN, 1, 1)
        assert all(latest(each) == LedgerAdvanced(ANN, 1, 1) for each in many)


async def test_settling_what_is_not_due_wakes_nobody(autojump_clock: MockClock) -> None:
    """A look at due accounts is not an event."""
    async with a_world() as world:
        await world.ask(GetInventory(ANN))
        mine = listen(world)
        await world.ask(Settle(ANN))
        assert latest(mine) is None
