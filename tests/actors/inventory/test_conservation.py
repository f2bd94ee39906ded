"""Whatever players do, in whatever order: ledgers replay, and nothing appears or disappears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory import InventoriesSettings
from actors.inventory.errors import InventoryError
from actors.inventory.messages import Freeze, Thaw
from tests.actors.inventory.world import TOWN, World, a_world, account, ruleset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage import Row

PLAYERS = [account(number) for number in range(3)]
RULES = {
    policy: TOWN.replace('overflow = "reject"', f'overflow = "{policy}"')
    for policy in ("reject", "hold", "spill")
}

players = st.sampled_from(PLAYERS)
orders = st.tuples(
    st.just("order"),
    players,
    st.sampled_from([("hut", None), ("mill", None), ("cart", 1), ("cart", 3)]),
)
cancels = st.tuples(st.just("cancel"), players, st.integers(0, 2))
sends = st.tuples(
    st.just("send"), players, players, st.sampled_from(["wood", "gold"]), st.integers(1, 900)
)
waits = st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 7.0, 70.0, 250.0]))
freezes = st.tuples(st.sampled_from(["freeze", "thaw"]), players)
steps = st.one_of(orders, orders, cancels, sends, sends, waits, freezes)


@settings(max_examples=25)
@given(policy=st.sampled_from(sorted(RULES)), script=st.lists(st.lists(steps, max_size=6)))
def test_conservation_under_anything_that_players_do(
    policy: str, script: Sequence[Sequence[tuple[Any, ...]]]
) -> None:
    """Steps of a group run at once; afterwards each ledger replays and the world's gold adds up."""

    async def play() -> None:
        idle = InventoriesSettings(idle_seconds=5)
        async with a_world(rules=ruleset(RULES[policy]), settings=idle) as world:
            for who in PLAYERS:
                await world.look(who)
            for group in script:
                async with trio.open_nursery() as nursery:
                    for step in group:
                        nursery.start_soon(_take, world, step)
            for who in PLAYERS:
                assert await world.replayed(who) == world.stored(who)
                assert all(amount > 0 for amount in world.stored(who).values())
            await trio.sleep(1)
            assert not [r for r in world.engine.rows("transfers") if r["state"] == "sent"]
            assert _gold(world) == 50 * len(PLAYERS)

    trio.run(play, clock=trio.testing.MockClock(autojump_threshold=0))


async def _take(world: World, step: tuple[Any, ...]) -> None:
    try:
        match step:
            case ("order", who, (asset, count)):
                await world.order(who, asset, count)
            case ("cancel", who, index):
                await _cancel(world, who, index)
            case ("send", sender, receiver, resource, units):
                await world.send(sender, receiver, **{resource: units})
            case ("wait", seconds):
                await trio.sleep(seconds)
            case ("freeze", who):
                await world.ask(Freeze(who))
            case ("thaw", who):
                await world.ask(Thaw(who))
            case _:
                raise NotImplementedError(step)
    except InventoryError:
        pass  # refused: nothing has happened


async def _cancel(world: World, who: str, index: int) -> None:
    pending = (await world.look(who)).orders
    if index < len(pending):
        await world.cancel(who, pending[index].id)


def _gold(world: World) -> int:
    """Count all gold: nobody produces any, so it is owned, held, spent or lost."""
    total = 0
    for row in world.engine.rows("inventories"):
        stored = world.stored(row["account_id"])
        total += stored.get("gold", 0) + stored.get("held:gold", 0)
    for order in world.engine.rows("orders"):
        if order["asset"] == "cart":
            total += _spent(order)
    return total


def _spent(order: Row) -> int:
    """Count the gold spent on carts, delivered or on order, less what a cancel gave back."""
    paid: int = 5 * order["count"]
    if order["state"] != "cancelled":
        return paid
    undelivered: int = order["count"] - order["delivered"]
    count: int = order["count"]
    return paid - paid * undelivered // (2 * count)
