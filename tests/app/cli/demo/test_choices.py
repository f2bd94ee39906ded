"""What the demo's choices promise: only what the published rules and the stock allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.inventory.ruleset.counts import WALKED_COUNT_MAX
from app.cli.demo.choices import (
    anything_else,
    choices,
    quickest_affordable,
    slowest_affordable,
    too_dear,
)
from holdfast_client.requests import OrderBody
from holdfast_client.types import Level, Queue, Ruleset, Tiered, Unit
from tests.app.cli.demo import samples

if TYPE_CHECKING:
    from holdfast_client.types import Inventory

RULES = Ruleset(
    name="rules",
    version="1",
    buildings={
        "mine": Tiered(levels=[Level({"gold": 10}, 5), Level({"gold": 20}, 10)]),
        "field": Tiered(levels=[Level({"gold": 30}, 60)], instances=["field:1", "field:2"]),
        "tower": Tiered(levels=[Level({"gold": 1}, 1)], requires={"mine": 2}),
    },
    technologies={"magic": Tiered(levels=[Level({"gold": 5}, 20)], requires={"field": 1})},
    units={"knight": Unit({"gold": 50}, 30)},
)


def inventory(gold: int, *orders: str, **owned: int) -> Inventory:
    """Make an inventory with gold, pending orders and building levels."""
    buildings = {name.replace("_", ":"): level for name, level in owned.items()}
    pending = [samples.order(each) for each in orders]
    return samples.inventory(samples.stock(gold), *pending, buildings=buildings)


def offered(inventory: Inventory) -> dict[str, dict[str, int]]:
    """Return what is offered, with its price."""
    return {each.asset: dict(each.cost) for each in choices(RULES, inventory)}


def test_choices_offer_the_next_level_of_everything_allowed() -> None:
    """Each instance by its address, each unit once, nothing whose requirement is unmet."""
    assert offered(inventory(0)) == {
        "mine": {"gold": 10},
        "field:1": {"gold": 30},
        "field:2": {"gold": 30},
        "knight": {"gold": 50},
    }


def test_choices_count_pending_orders_as_levels() -> None:
    """A pending level is not offered again, and nothing follows the last level."""
    assert offered(inventory(0, "mine"))["mine"] == {"gold": 20}
    assert "mine" not in offered(inventory(0, "mine", "mine"))
    assert "mine" not in offered(inventory(0, mine=2))


def test_choices_take_any_instance_as_a_requirement_met() -> None:
    """The highest of several instances counts."""
    assert "magic" in offered(inventory(0, field_2=1))
    assert "tower" in offered(inventory(0, mine=2))


def test_choices_of_what_is_affordable_go_by_duration() -> None:
    """The quickest to wait for, the slowest to cancel, none if nothing is affordable."""
    quickest, slowest = (f(RULES, inventory(50)) for f in (quickest_affordable, slowest_affordable))
    assert quickest is not None
    assert quickest.asset == "mine"
    assert quickest.body == OrderBody("mine")
    assert slowest is not None
    assert slowest.asset == "field:1"
    assert quickest_affordable(RULES, inventory(9)) is None


def test_choices_of_what_is_too_dear_fall_back_on_a_crowd() -> None:
    """If every single thing is affordable, it asks for the largest order of a unit."""
    single = too_dear(RULES, inventory(25))
    assert single is not None
    assert single.asset == "field:1"
    crowd = too_dear(RULES, inventory(100))
    assert crowd is not None
    assert crowd.body == OrderBody("knight", WALKED_COUNT_MAX)
    assert too_dear(RULES, inventory(50 * WALKED_COUNT_MAX)) is None
    assert too_dear(Ruleset("rules", "1"), inventory(100)) is None


def test_choices_of_what_is_too_dear_take_as_many_as_the_server_says() -> None:
    """If the server states the maximum count of an order, that count is used."""
    rules = Ruleset("rules", "1", units={"knight": Unit({"gold": 50}, 30, count_max=1_000_000)})
    crowd = too_dear(rules, inventory(50 * WALKED_COUNT_MAX))
    assert crowd is not None
    assert crowd.body == OrderBody("knight", 1_000_000)


def test_choices_of_what_is_too_dear_have_room_in_their_queue() -> None:
    """A full queue would be refused first: even a waiting order takes a place in it."""
    queues = {"yard": Queue(1, 0), "site": Queue(1, 1)}
    dear = Level({"gold": 100}, 1)
    buildings = {
        "hut": Tiered(levels=[Level({"gold": 1}, 60)], queue="yard", instances=["hut:1", "hut:2"]),
        "fort": Tiered(levels=[dear], queue="yard"),
    }
    knight = Unit({"gold": 1}, 1, queue="yard")
    rules = Ruleset("rules", "1", queues, buildings=buildings, units={"knight": knight})
    assert too_dear(rules, inventory(50, "hut:1")) is None
    first = too_dear(rules, inventory(50))
    assert first is not None
    assert first.asset == "fort"
    lore = Tiered(levels=[dear, dear, dear], queue="site")
    rules = msgspec.structs.replace(rules, technologies={"lore": lore})
    second = too_dear(rules, inventory(50, "hut:1", "lore"))
    assert second is not None
    assert second.asset == "lore"
    assert too_dear(rules, inventory(50, "hut:1", "lore", "lore")) is None


def test_choices_of_anything_else_differ_in_the_asset() -> None:
    """The other choice is a different asset, affordable or not."""
    first = quickest_affordable(RULES, inventory(10))
    assert first is not None
    other = anything_else(RULES, inventory(0), first)
    assert other is not None
    assert other.asset != first.asset
