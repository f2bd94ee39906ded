"""How bots decide, on rulesets small enough to see why."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import load_ruleset
from app.simulation.greedy import Greedy
from app.simulation.haphazard import Haphazard
from app.simulation.planner import Planner
from app.simulation.remembering import KNOWN_MAX, remembering
from app.simulation.sight import Pending, Sight, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from actors.inventory.ruleset import Ruleset

RULES = """
title = "Small"
[resources.wood]
start = 100
base_per_hour = 100
base_capacity = 500
[balances.hands]
[queues.site]
slots = 1
length = 1
[defaults.buildings]
queue = "site"
duration = "60"
max_level = 5
[defaults.units]
queue = "site"
duration = "60"
[buildings.mill]
cost = { wood = 100 }
produces = { wood = "50 * level" }
balance = { hands = "-2 * level" }
[buildings.hut]
cost = { wood = 20 }
balance = { hands = "2 * level" }
[buildings.barn]
cost = { wood = 50 }
capacity = { wood = "1000 * level" }
[buildings.tower]
cost = { wood = 10 }
[units.scout]
cost = { wood = 5 }
requires = { tower = 1 }
"""

SCARCE = """
title = "Scarce"
[resources.wood]
base_per_hour = 100
base_capacity = 500
[resources.ore]
start = 300
[queues.site]
slots = 1
length = 1
[defaults.buildings]
queue = "site"
duration = "60"
max_level = 5
[buildings.drill]
cost = { ore = 60 }
requires = { derrick = 1 }
produces = { ore = "90 * level" }
[buildings.derrick]
cost = { ore = 50 }
[buildings.barn]
cost = { ore = 90 }
capacity = { wood = "1000 * level" }
"""


@pytest.fixture
def small(tmp_path: Path) -> Ruleset:
    """Load the ruleset above."""
    return load(tmp_path, RULES)


def load(folder: Path, text: str) -> Ruleset:
    """Load a ruleset from its text."""
    file = folder / "small.toml"
    file.write_text(text)
    return load_ruleset(file)


def sight(
    wood: int,
    levels: dict[str, int] | None = None,
    *,
    pending: tuple[Pending, ...] = (),
    capacity: int = 500,
    per_hour: int = 100,
) -> Sight:
    """Return what a bot sees of a small account."""
    seen = Sight(
        now_ms=0,
        amounts={"wood": wood},
        per_hour={"wood": per_hour},
        capacity={"wood": capacity},
        levels=levels or {},
        units={},
        coming=dict(levels or {}),
        pending=[],
    )
    for order in pending:
        seen.add(*order)
    return seen


def test_planner_feeds_a_balance_before_what_draws_on_it(small: Ruleset) -> None:
    """A mill without hands earns nothing: the hut comes first."""
    assert Planner(small).next_step({}) == Wanted("hut")
    assert Planner(small).next_step({"hut": 1}) == Wanted("mill")


def test_planner_feeds_with_what_gives_most_for_its_price(tmp_path: Path) -> None:
    """Of two feeders it chooses the cheaper, wherever that stands in the ruleset."""
    dear = '[buildings.lodge]\ncost = { wood = 90 }\nbalance = { hands = "2 * level" }\n'
    for rules in (RULES + dear, RULES.replace("[buildings.hut]", dear + "[buildings.hut]")):
        assert Planner(load(tmp_path, rules)).next_step({}) == Wanted("hut")


def test_planner_stops_where_nothing_is_left(small: Ruleset) -> None:
    """With every earner at its highest level there is no next step."""
    assert Planner(small).next_step({"hut": 5, "mill": 5}) is None


def test_planner_finds_the_way_through_prerequisites(tmp_path: Path) -> None:
    """The first step towards a mill that needs a tower is the tower."""
    rules = RULES.replace('balance = { hands = "-2 * level" }', "requires = { tower = 2 }")
    planner = Planner(load(tmp_path, rules))
    assert planner.next_step({}) == Wanted("tower")
    assert planner.next_step({"tower": 2}) == Wanted("mill")


def test_planner_shortens_what_takes_longest(tmp_path: Path) -> None:
    """If building takes far longer than saving, whatever shortens it comes first."""
    rules = RULES.replace('duration = "60"\nmax_level', 'duration = "360000"\nmax_level')
    rules = rules.replace(
        "[buildings.tower]\n",
        '[[buildings.tower.modifiers]]\nwhat = "duration"\nkinds = ["building"]\n'
        'factor = "0.1 ** level"\n[buildings.tower]\nduration = "60"\n',
    )
    assert Planner(load(tmp_path, rules)).next_step({"hut": 1}) == Wanted("tower")


def test_planner_orders_units_that_feed_in_one_batch(tmp_path: Path) -> None:
    """If only units give hands, as many are ordered as are missing."""
    rules = RULES.replace('balance = { hands = "2 * level" }', "")
    rules = rules.replace("requires = { tower = 1 }", "balance = { hands = 1 }")
    assert Planner(load(tmp_path, rules)).next_step({}) == Wanted("scout", 2)


def test_planner_takes_a_shortage_that_nothing_can_help(tmp_path: Path) -> None:
    """An earner at half its output is better than none."""
    rules = RULES.replace('balance = { hands = "2 * level" }', 'balance = { hands = "1" }')
    planner = Planner(load(tmp_path, rules))
    assert planner.next_step({"hut": 5}) == Wanted("mill")


def test_planner_gives_up_what_is_out_of_sight(tmp_path: Path) -> None:
    """A goal behind a hundred steps is no goal, whether they are prerequisites or feeders."""
    tall = RULES.replace("max_level = 5", "max_level = 100")
    behind = tall.replace('balance = { hands = "-2 * level" }', "requires = { tower = 70 }")
    assert Planner(load(tmp_path, behind)).next_step({}) is None
    hungry = tall.replace('"-2 * level"', '"-1000 * level"')
    assert Planner(load(tmp_path, hungry)).next_step({}) is None


def test_planner_feeds_only_with_what_is_allowed_now(tmp_path: Path) -> None:
    """A feeder that requires the mill cannot come before it."""
    rules = RULES.replace("[buildings.hut]\n", "[buildings.hut]\nrequires = { mill = 1 }\n")
    assert Planner(load(tmp_path, rules)).next_step({}) is None


SHORTENER = (
    '[[buildings.tower.modifiers]]\nwhat = "duration"\nkinds = ["building"]\n'
    'factor = "0.9 ** level"\n[buildings.tower]\n'
)


def test_planner_shortens_only_what_is_worth_it(tmp_path: Path) -> None:
    """Not if saving takes longer, and not beyond the highest level."""
    rules = RULES.replace("[buildings.tower]\n", SHORTENER)
    assert Planner(load(tmp_path, rules)).next_step({"hut": 1}) == Wanted("mill")
    slow = rules.replace('duration = "60"\nmax_level', 'duration = "360000"\nmax_level')
    built = {"hut": 1, "tower": 5}
    assert Planner(load(tmp_path, slow)).next_step(built) == Wanted("mill")


def test_planner_stores_where_there_is_room_to_be_had(tmp_path: Path) -> None:
    """A level that adds no room is not a store."""
    rules = RULES.replace('"1000 * level"', '"1000 * floor(level / 2)"')
    planner = Planner(load(tmp_path, rules))
    assert planner.store_for("wood", {}) is None
    assert planner.store_for("wood", {"barn": 1}) == "barn"
    assert planner.first_of("barn", {"barn": 5}) is None


def test_greedy_counts_on_room_that_is_on_order(small: Ruleset) -> None:
    """It orders no second barn while the first is being built, and waits for it."""
    building = (Pending("barn", "site", None, 60_000),)
    seen = sight(50, pending=building, capacity=15)
    assert Greedy(small).orders(seen, random.Random(1)) == [Wanted("hut")]
    poor = sight(0, pending=building, capacity=15)
    assert Greedy(small).waits_for(poor) == 60_000


def test_greedy_is_stuck_without_room_for_a_price(tmp_path: Path) -> None:
    """If no store can be had there is nothing to wait for."""
    rules = RULES.replace("capacity = { wood", "balance = { hands = 0 }\n# capacity = { wood")
    assert Greedy(load(tmp_path, rules)).waits_for(sight(0, capacity=15)) is None


def test_greedy_orders_until_the_money_or_the_queue_ends(small: Ruleset) -> None:
    """Two places: the hut and the mill, if there is wood for both."""
    assert Greedy(small).orders(sight(400), random.Random(1)) == [Wanted("hut"), Wanted("mill")]
    assert Greedy(small).orders(sight(100), random.Random(1)) == [Wanted("hut")]


def test_greedy_makes_room_where_a_stock_is_full(small: Ruleset) -> None:
    """Resources that would be lost are used first, once."""
    policy = Greedy(small)
    assert policy.orders(sight(500), random.Random(1))[0] == Wanted("barn")
    coming = sight(500, pending=(Pending("barn", "site", None, 60_000),))
    assert policy.orders(coming, random.Random(1)) == [Wanted("hut")]


def test_greedy_makes_room_for_a_price(small: Ruleset) -> None:
    """A price above the capacity can never be saved for: the store comes first."""
    assert Greedy(small).orders(sight(60, capacity=15), random.Random(1)) == [Wanted("barn")]


def test_greedy_makes_room_by_units(tmp_path: Path) -> None:
    """If a unit is the store, one is ordered: no server accepts such an order without a count."""
    barge = "[units.barge]\ncost = { wood = 5 }\ncapacity = { wood = 200 }\n"
    policy = Greedy(load(tmp_path, RULES + barge))
    assert policy.orders(sight(500), random.Random(1))[0] == Wanted("barge", 1)


@pytest.mark.parametrize(
    ("ore", "per_hour", "levels", "orders"),
    [
        (199, 0, {}, ["derrick"]),
        (119, 0, {"derrick": 1}, ["drill"]),
        (200, 0, {}, ["barn", "derrick"]),
        (199, 90, {}, ["barn", "derrick"]),
        (90, 0, {"derrick": 1, "drill": 5}, ["barn"]),
    ],
)
def test_greedy_spends_nothing_on_room_that_its_next_goal_needs(
    tmp_path: Path, ore: int, per_hour: int, levels: dict[str, int], orders: list[str]
) -> None:
    """Without income of ore, all that a drill needs is kept, however full the wood is."""
    seen = sight(500, levels)
    seen.amounts["ore"] = ore
    seen.per_hour = {"wood": 100, "ore": per_hour}
    seen.capacity = {"wood": 500, "ore": None}
    policy = Greedy(load(tmp_path, SCARCE))
    assert policy.orders(seen, random.Random(1)) == [Wanted(asset) for asset in orders]


def test_greedy_waits_for_the_price(small: Ruleset) -> None:
    """For 80 more wood at 100 an hour it waits 48 minutes."""
    assert Greedy(small).waits_for(sight(20, {"hut": 1})) == 48 * 60_000


def test_greedy_waits_for_a_place_in_the_queue(small: Ruleset) -> None:
    """With both places taken it comes again when the first order is done."""
    busy = (Pending("hut", "site", None, 60_000), Pending("mill", "site", None, None))
    assert Greedy(small).waits_for(sight(400, pending=busy)) == 60_000


def test_greedy_waits_for_a_completion_without_any_income(small: Ruleset) -> None:
    """Without income, only pending orders can change that."""
    building = (Pending("hut", "site", None, 60_000),)
    assert Greedy(small).waits_for(sight(0, pending=building, per_hour=0)) == 60_000
    assert Greedy(small).waits_for(sight(0, per_hour=0)) is None


def test_random_chooses_only_what_can_be_had(small: Ruleset) -> None:
    """With 20 wood that is a hut or a tower, never a scout without a tower."""
    policy = Haphazard(small)
    chosen = {tuple(policy.orders(sight(20), random.Random(seed))) for seed in range(40)}
    assert chosen == {(Wanted("hut"),), (Wanted("tower"),)}


def test_random_orders_units_in_batches_that_can_be_paid(small: Ruleset) -> None:
    """With 20 wood and everything else built, one to four scouts."""
    policy = Haphazard(small)
    built = {"hut": 5, "mill": 5, "barn": 5, "tower": 5}
    chosen = {policy.orders(sight(20, built), random.Random(seed))[0] for seed in range(60)}
    assert chosen == {Wanted("scout", count) for count in (1, 2, 3, 4)}


def test_random_waits_for_the_cheapest_thing(small: Ruleset) -> None:
    """With nothing and 100 an hour, the tower is affordable after six minutes."""
    assert Haphazard(small).waits_for(sight(0)) == 6 * 60_000
    assert Haphazard(small).waits_for(sight(0, per_hour=0)) is None
    assert Haphazard(small).orders(sight(0), random.Random(1)) == []


def test_random_comes_again_while_anything_is_affordable(small: Ruleset) -> None:
    """It returns at once; with a full queue, only when a place is free."""
    assert Haphazard(small).waits_for(sight(100)) == 0
    busy = (Pending("hut", "site", None, 60_000), Pending("mill", "site", None, None))
    assert Haphazard(small).waits_for(sight(100, pending=busy)) == 60_000


def test_remembering_answers_as_the_rules_do(small: Ruleset) -> None:
    """The cache changes no answer, and does not grow without bound."""
    rules = remembering(small)
    for level in range(KNOWN_MAX + 10):
        units = {"scout": level}
        assert rules.rates({"mill": 1}, units) is rules.rates({"mill": 1}, units)
    assert rules.rates({"mill": 2, "hut": 1}, {}) == small.rates({"mill": 2, "hut": 1}, {})
    assert rules.version == small.version
