"""Accounts whose owners are away: settled where they are stored, by one writer at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
import trio.testing

from actors.inventory import InventoriesSettings
from actors.inventory.events import LedgerAdvanced
from actors.storage.engine import EngineUnavailable
from bus import Interest, Topic
from tests.actors.inventory.world import TOWN, Tampered, World, a_world, account, ruleset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from actors.inventory.views import InventoryView
    from actors.storage.engine import Unit
    from actors.storage.errors import StorageError

ANN, BEN = account(1), account(2)
AWAY = InventoriesSettings(idle_seconds=1)
"""Whoever is not asked for a second is passive."""
HUT_S = 10


class Holding(Tampered):
    """An engine that keeps back what changes an inventory, until it is told to let it through."""

    def __init__(self) -> None:
        super().__init__()
        self.through = trio.Event()
        self.through.set()

    async def commit(self, units: Sequence[Unit]) -> list[StorageError | None]:
        """Commit; a tick comes through always."""
        if any(operation.table == "inventories" for unit in units for operation in unit):
            await self.through.wait()
        return await super().commit(units)


async def all_passive(world: World) -> None:
    """Let everybody fall idle."""
    await trio.sleep(3)
    assert world.inventories.statistics().live == 0


async def test_passive_account_is_settled_without_coming_to_life(
    autojump_clock: MockClock,
) -> None:
    """The order is completed, the books are right, and nobody was activated for it."""
    async with a_world(settings=AWAY) as world:
        await world.order(ANN, "hut")
        await all_passive(world)
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
    """Orders that follow one another, buildings and units: entry by entry the same ledger."""
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
    """An account that is being settled is not loaded before that is durable: one writer."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        await world.order(ANN, "hut")
        await all_passive(world)
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
    """Where there is an Inventory, nobody else writes."""
    async with a_world(settings=InventoriesSettings(idle_seconds=10_000)) as world:
        await world.order(ANN, "hut")
        await trio.sleep(HUT_S + 1)
        assert world.stored(ANN)["hut"] == 1
        assert not world.events("inventory_changed_elsewhere")
        assert (await world.look(ANN)).buildings == {"hut": 1}


async def test_account_that_is_broken_is_left_to_its_inventory(autojump_clock: MockClock) -> None:
    """Its failure is its own: those who are due with it are settled."""
    async with a_world(settings=AWAY) as world:
        for who in (ANN, BEN):
            await world.order(who, "hut")
        await all_passive(world)
        world.engine.row("inventories", ANN)["state"] = "{}"
        await trio.sleep(HUT_S)
        assert world.stored(BEN)["hut"] == 1
        assert {event["account"] for event in world.events("due_not_settled")} == {ANN}


async def test_unit_that_conflicts_is_settled_one_by_one(autojump_clock: MockClock) -> None:
    """What was changed by somebody else takes none of the others with it."""
    engine = Holding()
    async with a_world(settings=AWAY, engine=engine) as world:
        for who in (ANN, BEN):
            await world.order(who, "hut")
        await all_passive(world)
        engine.through = trio.Event()
        await trio.sleep(HUT_S)
        engine.row("inventories", ANN)["version"] += 1
        engine.through.set()
        await trio.sleep(1)
        assert [world.stored(who)["hut"] for who in (ANN, BEN)] == [1, 1]
        assert world.inventories.statistics().activations == 4


async def test_database_away_leaves_it_due(autojump_clock: MockClock) -> None:
    """Nothing is lost or done twice: it is settled when the database is there again."""
    async with a_world(settings=AWAY) as world:
        await world.order(ANN, "hut")
        await all_passive(world)
        world.engine.failures = [EngineUnavailable("away") for _ in range(60)]
        await trio.sleep(HUT_S)
        assert "hut" not in world.stored(ANN)
        await trio.sleep(120)
        assert not world.engine.failures
        assert world.stored(ANN)["hut"] == 1
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_whoever_follows_a_passive_account_is_woken(autojump_clock: MockClock) -> None:
    """A stream that waits learns of what came due."""
    async with a_world(settings=AWAY) as world:
        await world.order(ANN, "hut")
        await all_passive(world)
        following = world.bus.subscribe(Interest(Topic.EVENT, key=ANN), buffer=1)
        with trio.fail_after(2 * HUT_S):
            message = await following.receive()
        row = world.engine.row("inventories", ANN)
        assert message.body == LedgerAdvanced(ANN, row["ledger_seq"], row["version"])
        following.close()


async def test_account_under_older_rules_is_left_to_its_inventory(
    autojump_clock: MockClock,
) -> None:
    """The Inventory hands it over to the new rules, and what is due is settled there."""
    engine = Tampered()
    async with a_world(settings=AWAY, engine=engine) as world:
        await world.order(ANN, "hut")
    newer = ruleset(TOWN.replace("max_level = 3", "max_level = 4"))
    async with a_world(settings=AWAY, engine=engine, rules=newer) as world:
        await trio.sleep(2 * HUT_S)
        assert world.stored(ANN)["hut"] == 1
        assert world.engine.row("inventories", ANN)["ruleset"] == newer.version
        assert world.inventories.statistics().activations == 1
