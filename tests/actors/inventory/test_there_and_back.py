"""Rules that give way to others and come back: nobody skips the ones in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.inventory import InventoriesSettings
from actors.inventory.messages import Freeze, Thaw
from tests.actors.inventory.world import TOWN, Tampered, World, a_world, account, ruleset

if TYPE_CHECKING:
    from trio.testing import MockClock

ANN, BEN = account(1), account(2)
BARREN = ruleset(TOWN.replace("base_per_hour = 3600", "base_per_hour = 0"))
RICH = ruleset(TOWN.replace("base_per_hour = 3600", "base_per_hour = 36000"))
HUT_MS = 10_000


async def a_minute_of_riches(engine: Tampered, *present: str) -> None:
    """Run the world under other rules for a minute, in which some look in."""
    async with a_world(engine=engine, rules=RICH) as world:
        for who in present:
            await world.look(who)
        await trio.sleep(60)


async def test_who_stayed_away_has_what_others_have(autojump_clock: MockClock) -> None:
    """Each is settled under the rules in between, whether or not anyone looked then."""
    engine = Tampered()
    async with a_world(engine=engine, rules=BARREN) as world:
        await world.look(ANN)
        await world.look(BEN)
    await a_minute_of_riches(engine, BEN)
    async with a_world(engine=engine, rules=BARREN) as world:
        for who in (ANN, BEN):
            assert (await world.look(who)).resources["wood"].amount == 100 + 600
            assert await world.replayed(who) == world.stored(who)


async def test_what_is_due_of_who_stayed_away_is_settled_so(autojump_clock: MockClock) -> None:
    """As stored, it looks up to date: it is left to its Inventory."""
    engine, away = Tampered(), InventoriesSettings(idle_seconds=1)
    late = TOWN.replace("base_per_hour = 3600", "base_per_hour = 0").replace(
        "duration = 10", "duration = 100"
    )
    async with a_world(engine=engine, rules=ruleset(late), settings=away) as world:
        await world.order(ANN, "hut")
    await a_minute_of_riches(engine)
    async with a_world(engine=engine, rules=ruleset(late), settings=away) as world:
        await trio.sleep(60)
        assert world.stored(ANN) == {"wood": 100 - 40 + 600, "gold": 50, "hut": 1}
        assert world.inventories.statistics().activations == 1


async def frozen_hut(world: World) -> None:
    """Begin a hut and freeze the account when four seconds of it are done."""
    await world.order(ANN, "hut")
    await trio.sleep(4)
    await world.ask(Freeze(ANN))


async def test_who_stood_still_is_handed_over_once_and_goes_on(autojump_clock: MockClock) -> None:
    """Nothing is produced or completed meanwhile, and no load has more to do."""
    engine = Tampered()
    async with a_world(engine=engine, rules=BARREN) as world:
        await frozen_hut(world)
        began = (await world.look(ANN)).at_ms
        [order] = (await world.look(ANN)).orders
    await a_minute_of_riches(engine)
    versions: list[int] = []
    for _ in range(2):
        async with a_world(engine=engine, rules=BARREN) as world:
            assert (await world.look(ANN)).resources["wood"].amount == 60
            versions.append(engine.row("inventories", ANN)["version"])
    assert versions[0] == versions[1]
    async with a_world(engine=engine, rules=BARREN) as world:
        await world.ask(Thaw(ANN))
        thawed = await world.look(ANN)
        [later] = thawed.orders
        assert order.finishes_at_ms is not None
        assert later.finishes_at_ms == thawed.at_ms + order.finishes_at_ms - began
        await trio.sleep(HUT_MS / 1000)
        assert world.stored(ANN) == {"wood": 60, "gold": 50, "hut": 1}
        assert await world.replayed(ANN) == world.stored(ANN)


async def test_goods_on_their_way_take_the_names_in_between(autojump_clock: MockClock) -> None:
    """Gold became wood, and did not turn back when there was gold again."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        sent = (await world.send(ANN, BEN, gold=20)).transfer
    wooden = TOWN.replace("[resources.gold]\nstart = 50\n", "").replace("gold", "wood")
    async with a_world(engine=engine, rules=ruleset(wooden), renamed={"gold": "wood"}):
        await trio.sleep(1)
    # As if it had not arrived.
    engine.row("transfers", sent.id).update(state="sent", settled_ms=None, version=1)
    async with a_world(engine=engine) as world:
        await trio.sleep(2)
        received = [e for e in (await world.ledger(BEN)).entries if e.cause == "transfer-received"]
        assert "gold" not in received[-1].changes
        assert received[-1].changes["wood"].delta == 20
