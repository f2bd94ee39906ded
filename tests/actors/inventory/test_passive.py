"""Accounts whose owners are away: settled where they are stored, by one writer at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
import trio.testing

from actors.inventory import InventoriesSettings, passive
from actors.inventory.events import LedgerAdvanced
from actors.inventory.loading import Loader
from actors.inventory.records import order_from_row
from actors.inventory.work import Work
from actors.storage import StorageClient
from actors.storage.engine import EngineUnavailable
from bus import Interest, Overloaded, ReplyTimeout, Topic
from tests.actors.inventory.world import TOWN, Tampered, World, a_world, account, ruleset
from tests.actors.storage.support import Counter, counting_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.inventory.engine import Order
    from actors.inventory.loading import Stored
    from actors.inventory.views import InventoryView
    from actors.storage import Row
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError

ANN, BEN = account(1), account(2)
AWAY = InventoriesSettings(idle_seconds=1)
"""An account that gets no request for a second is passive."""
HUT_S = 10


class Holding(Tampered):
    """An engine that holds back changes to inventories until it is told to let them through."""

    def __init__(self) -> None:
        super().__init__()
        self.through = trio.Event()
        self.through.set()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit; a tick always passes."""
        if any(operation.table == "inventories" for unit in units for operation in unit):
            await self.through.wait()
        return await super().commit(units)


async def ordered(world: World, *accounts: str) -> None:
    """Have a hut ordered for each, and let all accounts fall idle."""
    for who in accounts:
        await world.order(who, "hut")
    await all_passive(world)


async def all_passive(world: World) -> None:
    """Let all accounts fall idle."""
    await trio.sleep(3)
    assert world.inventories.statistics().live == 0


async def test_passive_account_is_settled_without_coming_to_life(
    autojump_clock: MockClock,
) -> None:
    """The order is completed, the books are right, and nothing was activated for it."""
    async with a_world(settings=AWAY) as world:
        await ordered(world, ANN)
        await trio.sleep(HUT_S)
        assert world.stored(ANN)["hut"] == 1
        assert world.inventories.statistics().activations == 1
        [order] = world.engine.rows("orders")
        assert order["state"] == "completed"
        assert await world.replayed(ANN) == world.stored(ANN)


@pytest.mark.parametrize("text", [TOWN, TOWN.replace("length = 2", "length = 4")])
async def test_passive_account_comes_to_the_same_as_a_live_one(
    autojump_clock: MockClock, text: str
) -> None:
    """Consecutive orders, buildings and units: the same ledger entry by entry."""
    told: list[list[object]] = []
    for settings in (AWAY, InventoriesSettings(idle_seconds=10_000)):
        async with a_world(settings=settings, rules=ruleset(text)) as world:
            await world.order(ANN, "hut")
            await world.order(ANN, "cart", 3)
            await trio.sleep(100)
            ids = {row["order_id"]: row["seq"] for row in world.engine.rows("orders")}
            rows = [dict(row) for row in world.engine.rows("ledger")]
            for row in rows:
                row["order_id"] = ids.get(row["order_id"])
            last = dict(world.engine.row("inventories", ANN))
            last["state"] = msgspec.json.decode(last["state"])
            told.append([rows, last])
    assert told[0] == told[1]


async def test_player_who_comes_meanwhile_waits_for_what_is_due(
    autojump_clock: MockClock,
) -> None:
    """An account being settled is not loaded before that is durable: one writer."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        await ordered(world, ANN)
        engine.through = trio.Event()
        await trio.sleep(HUT_S)
        seen: list[InventoryView] = []

        async def look() -> None:
            seen.append(await world.look(ANN))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            assert not seen
            engine.through.set()
        assert seen[0].buildings == {"hut": 1}
        assert not world.events("inventory_changed_elsewhere")


async def test_live_account_is_settled_by_its_inventory(autojump_clock: MockClock) -> None:
    """If there is an Inventory, nobody else writes."""
    async with a_world(settings=InventoriesSettings(idle_seconds=10_000)) as world:
        await world.order(ANN, "hut")
        await trio.sleep(HUT_S + 1)
        assert world.stored(ANN)["hut"] == 1
        assert not world.events("inventory_changed_elsewhere")
        assert (await world.look(ANN)).buildings == {"hut": 1}


async def test_account_that_is_broken_is_left_to_its_inventory(autojump_clock: MockClock) -> None:
    """Its failure is its own: the accounts due with it are settled."""
    async with a_world(settings=AWAY) as world:
        await ordered(world, ANN, BEN)
        world.engine.row("inventories", ANN)["state"] = "{}"
        await trio.sleep(HUT_S)
        assert world.stored(BEN)["hut"] == 1
        assert {event["account_id"] for event in world.events("due_not_settled")} == {ANN}


async def test_unit_that_conflicts_is_settled_one_by_one(autojump_clock: MockClock) -> None:
    """An account changed by another writer takes none of the others with it."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        await ordered(world, ANN, BEN)
        engine.through = trio.Event()
        await trio.sleep(HUT_S)
        engine.row("inventories", ANN)["version"] += 1
        engine.through.set()
        await trio.sleep(1)
        assert [world.stored(who)["hut"] for who in (ANN, BEN)] == [1, 1]
        assert world.inventories.statistics().activations == 4


async def test_many_are_settled_together_whether_live_or_not(autojump_clock: MockClock) -> None:
    """Over several units and pages: the passive ones in place, the live ones where they live."""
    settings = InventoriesSettings(idle_seconds=5, due_page=24)
    passive, live = [account(n) for n in range(70)], [account(n) for n in range(100, 130)]
    async with a_world(settings=settings) as world:
        for who in (*passive, *live):
            await world.order(who, "hut")
        while world.inventories.statistics().live != len(live):
            await trio.sleep(1)
            for who in live:
                await world.look(who)
        await trio.sleep(HUT_S)
        assert all(world.stored(who)["hut"] == 1 for who in (*passive, *live))
        assert world.inventories.statistics().activations == len(passive) + len(live)
        assert not world.events("inventory_changed_elsewhere")


class Gone(Work):
    """Work that reports when nobody has it any more, and with it its account's orders."""

    counter = Counter()

    def __del__(self) -> None:
        """Report it."""
        self.counter.add(len(self.state.orders))


class GoneRow(dict[str, Any]):
    """A row that reports when nobody has it any more."""

    counter = Counter()

    def __del__(self) -> None:
        """Report it."""
        self.counter.add()


async def test_no_step_settles_or_frees_the_orders_of_many(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single step is bounded by orders as well: accounts may have a hundred each."""
    read = Loader.read

    async def read_marked(loader: Loader, ids: tuple[str, ...]) -> dict[str, Stored]:
        return {
            id_: each._replace(pending=[GoneRow(order) for order in each.pending])
            for id_, each in (await read(loader, ids)).items()
        }

    def counted(row: Row) -> Order:
        made.add()
        return order_from_row(row)

    rules = ruleset(TOWN.replace("length = 2", "length = 30"))
    accounts = [account(number) for number in range(24)]
    async with a_world(settings=AWAY, rules=rules) as world:
        for who in accounts:
            await world.order(who, "hut")
            for _ in range(9):
                await world.order(who, "cart", 1)
        await all_passive(world)
        with counting_steps() as made, counting_steps() as works, counting_steps() as rows:
            monkeypatch.setattr(GoneRow, "counter", rows)
            monkeypatch.setattr(Gone, "counter", works)
            monkeypatch.setattr(Loader, "read", read_marked)
            monkeypatch.setattr(passive, "order_from_row", counted)
            monkeypatch.setattr(passive, "Work", Gone)
            await trio.sleep(HUT_S)
        assert all(world.stored(who)["hut"] == 1 for who in accounts)
        # Seven accounts of ten orders each are the first to come to 64.
        assert [each.largest for each in (made, rows)] == [70, 70]
        assert 0 < works.largest <= 70


async def test_database_away_leaves_it_due(autojump_clock: MockClock) -> None:
    """Nothing is lost or done twice: it is settled when the database is back."""
    async with a_world(settings=AWAY) as world:
        await ordered(world, ANN)
        world.engine.failures = [EngineUnavailable("away") for _ in range(60)]
        await trio.sleep(HUT_S)
        assert "hut" not in world.stored(ANN)
        await trio.sleep(120)
        assert not world.engine.failures
        assert world.stored(ANN)["hut"] == 1
        assert world.inventories.statistics().activations == 1
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_unit_of_unknown_outcome_is_done_once(autojump_clock: MockClock) -> None:
    """A follower is woken, asks, and learns the outcome; nobody else is activated."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        await ordered(world, ANN, BEN)
        engine.through = trio.Event()
        following = world.bus.subscribe(Interest(Topic.EVENT, key=ANN), buffer=1)
        with trio.fail_after(60):
            await following.receive()
        following.close()
        assert "hut" not in world.stored(ANN)
        assert world.events("due_not_settled")[0]["accounts"] == 2
        engine.through.set()
        await trio.sleep(1)
        assert [world.stored(who)["hut"] for who in (ANN, BEN)] == [1, 1]
        assert world.inventories.statistics().activations == 2
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_units_without_an_answer_are_told_with_the_whole_wait(
    autojump_clock: MockClock,
) -> None:
    """Several are waited for together: each is reported with the full wait, none left out."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        await ordered(world, *(account(number) for number in range(20)))
        engine.through = trio.Event()
        await trio.sleep(HUT_S + AWAY.reply_seconds_max)
        told = [(event["accounts"], event["error"]) for event in world.events("due_not_settled")]
        wait = f"no answer within {AWAY.reply_seconds_max:g} s"
        assert told == [(16, wait), (4, wait)]
        engine.through.set()


async def test_what_storage_has_no_room_for_stays_due(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load nothing is brought to life for it: the next tick tries again."""
    refused = 0

    def no_room(*_: object) -> None:
        nonlocal refused
        refused += 1
        raise Overloaded("no room")

    async with a_world(settings=AWAY) as world:
        await ordered(world, ANN)
        with monkeypatch.context() as patch:
            patch.setattr(StorageClient, "submit", no_room)
            await trio.sleep(HUT_S)
        assert refused > 1
        assert "hut" not in world.stored(ANN)
        await trio.sleep(1)
        assert world.stored(ANN)["hut"] == 1
        assert world.inventories.statistics().activations == 1


@pytest.mark.parametrize("failing", ["read", "submit"])
async def test_whole_list_that_cannot_be_settled_is_left_until_the_next_tick(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """If none of a full list can be settled, it is not requested again at once, forever."""
    tries = 0

    def refused(*_: object) -> None:
        nonlocal tries
        tries += 1
        assert tries < 50 * HUT_S
        raise Overloaded("no room")

    async def unread(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        refused()

    accounts = [account(number) for number in range(20)]
    async with a_world(settings=replace(AWAY, due_page=1)) as world:
        await ordered(world, *accounts)
        with monkeypatch.context() as patch:
            if failing == "read":
                patch.setattr(Loader, "read", unread)
            else:
                patch.setattr(StorageClient, "submit", refused)
            await trio.sleep(HUT_S + 2)
        assert tries >= len(accounts)
        await trio.sleep(2)
        assert all(world.stored(who)["hut"] == 1 for who in accounts)


async def test_passive_accounts_that_cannot_be_read_hold_up_no_live_one(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live one is settled, and the others are as soon as they can be read."""
    read = Loader.read

    async def read_but_ben(loader: Loader, ids: tuple[str, ...]) -> dict[str, Stored]:
        if BEN in ids:
            raise ReplyTimeout("no answer")
        return await read(loader, ids)

    async with a_world(settings=AWAY) as world:
        await ordered(world, BEN)
        await world.order(ANN, "hut")
        with monkeypatch.context() as patch:
            patch.setattr(Loader, "read", read_but_ben)
            for _ in range(2 * HUT_S + 2):
                await trio.sleep(0.5)
                await world.look(ANN)
            assert world.stored(ANN)["hut"] == 1
            assert "hut" not in world.stored(BEN)
            assert world.events("due_unreadable")
        await trio.sleep(1)
        assert world.stored(BEN)["hut"] == 1
        assert world.inventories.statistics().activations == 2


async def test_whoever_follows_a_passive_account_is_woken(autojump_clock: MockClock) -> None:
    """A waiting stream learns of completions."""
    async with a_world(settings=AWAY) as world:
        await ordered(world, ANN)
        following = world.bus.subscribe(Interest(Topic.EVENT, key=ANN), buffer=1)
        with trio.fail_after(2 * HUT_S):
            message = await following.receive()
        row = world.engine.row("inventories", ANN)
        assert message.body == LedgerAdvanced(ANN, row["ledger_seq"], row["version"])
        following.close()


async def test_account_under_older_rules_is_left_to_its_inventory(
    autojump_clock: MockClock,
) -> None:
    """The Inventory hands it over to the new rules, and settles there what is due."""
    engine = Tampered()
    async with a_world(settings=AWAY, engine=engine) as world:
        await world.order(ANN, "hut")
    newer = ruleset(TOWN.replace("max_level = 3", "max_level = 4"))
    async with a_world(settings=AWAY, engine=engine, rules=newer) as world:
        await trio.sleep(2 * HUT_S)
        assert world.stored(ANN)["hut"] == 1
        assert world.engine.row("inventories", ANN)["ruleset"] == newer.version
        assert world.inventories.statistics().activations == 1
