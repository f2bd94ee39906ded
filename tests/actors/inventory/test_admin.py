"""The operator's grants, standstill, and changes of the rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trio

from actors.inventory.errors import InsufficientResources, RulesetMismatch, UnknownAsset
from actors.inventory.messages import Freeze, Grant, Thaw
from tests.actors.inventory.world import TOWN, Tampered, a_world, account, ruleset

if TYPE_CHECKING:
    from trio.testing import MockClock

    from actors.inventory.views import Granted

ANN, BEN = account(1), account(2)


def grant(who: str, key: str = "grant", **changes: int) -> Grant:
    """Make a grant."""
    return Grant(who, changes, "a lost battle", "operator", key, b"f")


async def test_grant_changes_assets_once_and_is_audited(autojump_clock: MockClock) -> None:
    """Who, what and why are kept in the unit that changes the assets; a key is used once."""
    async with a_world() as world:
        first: Granted = await world.ask(grant(ANN, gold=-20, hut=2, cart=3))
        again: Granted = await world.ask(grant(ANN, gold=-20, hut=2, cart=3))
        assert (first.replayed, again.replayed) == (False, True)
        assert first.grant == again.grant
        stored = world.stored(ANN)
        assert (stored["gold"], stored["hut"], stored["cart"]) == (30, 2, 3)
        [audit] = world.engine.rows("audit")
        assert (audit["actor"], audit["subject"], audit["reason"]) == (
            "operator",
            ANN,
            "a lost battle",
        )
        assert abs(datetime.now(UTC) - audit["at"]) < timedelta(minutes=1)


async def test_grant_is_all_or_nothing(autojump_clock: MockClock) -> None:
    """One change that cannot be made refuses them all."""
    async with a_world() as world:
        with pytest.raises(InsufficientResources):
            await world.ask(grant(ANN, wood=10, gold=-51))
        with pytest.raises(UnknownAsset):
            await world.ask(grant(ANN, wood=10, silver=1))
        assert not world.engine.rows("audit")


async def test_frozen_account_stands_still_and_goes_on_later(autojump_clock: MockClock) -> None:
    """While frozen nothing happens; thawed, it goes on as if no time had passed."""
    async with a_world() as world:
        placed = await world.order(ANN, "hut")
        await trio.sleep(4)
        await world.ask(Freeze(ANN))
        frozen = await world.look(ANN)
        await trio.sleep(1000)
        later = await world.look(ANN)
        assert later.resources == frozen.resources
        assert later.at_ms == frozen.at_ms
        assert "hut" not in world.stored(ANN)
        await world.ask(Thaw(ANN))
        thawed = await world.look(ANN)
        [order] = thawed.orders
        finishes_ms, due_ms = order.finishes_at_ms, placed.order.finishes_at_ms
        assert finishes_ms is not None
        assert due_ms is not None
        assert finishes_ms - thawed.at_ms == due_ms - frozen.at_ms
        assert thawed.resources["wood"].amount == frozen.resources["wood"].amount
        await trio.sleep(8)
        assert world.stored(ANN)["hut"] == 1


async def test_grant_to_a_frozen_account_tells_when_it_was_made(autojump_clock: MockClock) -> None:
    """The grant has the world's time, its ledger entry the account's, which stands still."""
    async with a_world() as world:
        await world.look(ANN)
        await world.ask(Freeze(ANN))
        frozen = await world.look(ANN)
        await trio.sleep(8)
        made: Granted = await world.ask(grant(ANN, gold=1))
        assert made.grant.at_ms >= frozen.at_ms + 7_000
        assert (await world.ledger(ANN)).entries[-1].at_ms == frozen.at_ms


async def test_freezing_twice_is_freezing_once(autojump_clock: MockClock) -> None:
    """A second freeze changes nothing; the standstill survives passivation."""
    async with a_world() as world:
        await world.look(ANN)
        await world.ask(Freeze(ANN))
        version = world.engine.row("inventories", ANN)["version"]
        await trio.sleep(100)
        await world.ask(Freeze(ANN))
        assert world.engine.row("inventories", ANN)["version"] == version
        await world.ask(Thaw(BEN))
        assert world.engine.row("inventories", BEN)["version"] == 1


BEGAN_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
RICHER = TOWN.replace("base_per_hour = 3600", "base_per_hour = 7200")
EVEN_RICHER = TOWN.replace("base_per_hour = 3600", "base_per_hour = 36000")


async def test_changed_rules_settle_under_the_old_and_go_on_under_the_new(
    autojump_clock: MockClock,
) -> None:
    """Until the change the old income counts, afterwards the new one, whenever one looks."""
    engine = Tampered()
    async with a_world(engine=engine) as world:
        await world.look(ANN)
        await world.look(BEN)
        await trio.sleep(10)
        await world.look(BEN)
    changed_ms = engine.row("world", "town")["now_ms"]
    async with a_world(engine=engine, rules=ruleset(RICHER)) as world:
        await trio.sleep(10)
        await world.look(ANN)
    second_ms = engine.row("world", "town")["now_ms"]
    async with a_world(engine=engine, rules=ruleset(EVEN_RICHER)) as world:
        await trio.sleep(10)
        ann, ben = await world.look(ANN), await world.look(BEN)
        assert ann.resources == ben.resources
        assert await world.replayed(ANN) == world.stored(ANN)
        assert await world.replayed(BEN) == world.stored(BEN)
        wood_ms = 100_000 + (changed_ms - BEGAN_MS) + 2 * (second_ms - changed_ms)
        wood_ms += 10 * (ann.at_ms - second_ms)
        assert ann.resources["wood"].amount == min(1000, wood_ms // 1000)


async def test_pending_orders_keep_price_duration_and_refund(autojump_clock: MockClock) -> None:
    """An order placed under the old rules is carried out, or refunded, as it was placed."""
    dear = TOWN.replace("cost = {wood = 40}", "cost = {wood = 80}").replace(
        "duration = 10", "duration = 1000"
    )
    engine = Tampered()
    async with a_world(engine=engine) as world:
        placed = await world.order(ANN, "hut")
    async with a_world(engine=engine, rules=ruleset(dear)) as world:
        [order] = (await world.look(ANN)).orders
        assert order == placed.order
        assert (await world.cancel(ANN, order.id)).refund == {"wood": 20}


async def test_renamed_assets_find_their_new_names(autojump_clock: MockClock) -> None:
    """A renaming carries over assets owned and on order; without it nobody is affected."""
    renamed = TOWN.replace("hut", "cottage")
    engine = Tampered()
    async with a_world(engine=engine) as world:
        await world.order(ANN, "hut")
        await trio.sleep(11)
        await world.order(ANN, "hut")
    async with a_world(engine=engine, rules=ruleset(renamed), renamed={"hut": "cottage"}) as world:
        view = await world.look(ANN)
        assert view.buildings == {"cottage": 1}
        assert [order.asset for order in view.orders] == ["cottage"]
    async with a_world(engine=engine, rules=ruleset()) as world:
        before = dict(engine.row("inventories", ANN))
        with pytest.raises(RulesetMismatch):
            await world.look(ANN)
        assert engine.row("inventories", ANN) == before
