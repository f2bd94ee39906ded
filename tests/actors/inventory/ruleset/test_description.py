"""The ruleset as data: rows per level, and the whole for clients."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from actors.inventory.engine.commands import check_count
from actors.inventory.errors import InvalidCount
from actors.inventory.ruleset import load_ruleset, shipped_rulesets
from actors.inventory.ruleset.description import count_row, level_row
from tests.actors.inventory.ruleset.sources import MINE, load

if TYPE_CHECKING:
    from pathlib import Path


def test_description_row_leaves_out_what_does_not_apply(tmp_path: Path) -> None:
    """A row has cost and duration, and effects only where there are some."""
    row = level_row(load(tmp_path, MINE), "mine", 2, {})
    assert row == {"level": 2, "cost": {"gold": 10}, "duration_seconds": 10}


def test_description_row_tells_effects_alone() -> None:
    """Income is that of the asset alone; consumption is negative."""
    ogame = load_ruleset("ogame")
    row = level_row(ogame, "fusion_reactor", 1, {"energy_technology": 3})
    assert row["produces"] == {"deuterium": -11}
    assert row["balance"] == {"energy": 32}
    assert level_row(ogame, "metal_mine", 10, {})["produces"] == {"metal": 778}
    with_plasma = level_row(ogame, "metal_mine", 10, {"plasma_technology": 5})
    assert with_plasma["produces"] == {"metal": 778 + 38}


def test_description_row_stands_one_level_below_while_it_builds() -> None:
    """A building that shortens building shortens its own next level, as in the game."""
    ogame = load_ruleset("ogame")
    alone = level_row(ogame, "robotics_factory", 4, {})["duration_seconds"]
    assert alone * 1000 == ogame.duration_ms("robotics_factory", 4, {"robotics_factory": 3})
    stated = level_row(ogame, "robotics_factory", 4, {"robotics_factory": 0})
    assert stated["duration_seconds"] * 1000 == ogame.duration_ms("robotics_factory", 4, {})


def test_description_row_of_units_is_for_all_together() -> None:
    """Price, duration and effects are those of the whole batch."""
    row = count_row(load_ruleset("ogame"), "solar_satellite", 5, {"shipyard": 1})
    assert row == {
        "count": 5,
        "cost": {"crystal": 10_000, "deuterium": 2_500},
        "duration_seconds": 7_200,
        "balance": {"energy": 130},
    }


def test_description_tells_fractions_of_seconds(tmp_path: Path) -> None:
    """If a ruleset is finer than seconds, so is its description."""
    text = "[durations]\nrounding = 'floor 0.1'\n" + MINE.replace(
        "duration = 10", "duration = 2.57"
    )
    assert level_row(load(tmp_path, text), "mine", 1, {})["duration_seconds"] == 2.5


@pytest.mark.parametrize("name", shipped_rulesets())
def test_description_is_json_that_covers_every_level(name: str) -> None:
    """The whole is plain JSON: every asset, every level, with cost and duration."""
    ruleset = load_ruleset(name)
    told = json.loads(json.dumps(ruleset.describe()))
    assert told == ruleset.describe()
    assert told["version"] == ruleset.version
    assets = told["buildings"] | told["technologies"] | told["units"]
    assert set(assets) == {asset.name for asset in ruleset.assets.values()}
    for asset in ruleset.assets.values():
        data = assets[asset.name]
        assert data["title"]
        assert data["description"]
        if asset.max_level is None:
            assert data["cost"] == ruleset.cost(asset.address, 1)
            assert data["count_max"] == 1_000_000
        else:
            levels = [row["level"] for row in data["levels"]]
            assert levels == list(range(1, asset.max_level + 1))
    for section in ("resources", "balances", "queues"):
        assert all(item["title"] and item["description"] for item in told[section].values())


def test_description_lists_instances_and_modifiers() -> None:
    """Clients learn the addresses of instances and what an asset changes."""
    told = load_ruleset("travian").describe()["buildings"]
    assert told["woodcutter"]["instances"] == [f"woodcutter:{n}" for n in range(1, 5)]
    assert told["woodcutter"]["title"] == "Woodcutter"
    (sawmill,) = told["sawmill"]["modifies"]
    assert sawmill["what"] == "production"
    assert sawmill["resource"] == "wood"
    assert sawmill["shares"][5] == 0.25
    (main_building,) = told["main_building"]["modifies"]
    assert main_building["assets"] == list(told)
    assert main_building["factors"][:3] == [1.0, 1.0, 0.964]


def test_description_tells_how_many_units_one_order_may_be_for(tmp_path: Path) -> None:
    """Units whose deliveries are walked have a lower limit; the engine takes exactly as many."""
    text = """
[resources.silver]
[defaults.units]
queue = "work"
duration = 1
[units.bag]
cost = { gold = 1 }
capacity = { gold = 1 }
[units.panner]
cost = { gold = 1 }
produces = { gold = 1 }
[units.miner]
cost = { gold = 1 }
produces = { silver = 1.3 }
[technologies.sieve]
queue = "work"
cost = { gold = 1 }
duration = 1
max_level = 3
modifiers = [{ what = "production", resource = "gold", share = "0.1 * level" }]
"""
    ruleset = load(tmp_path, text)
    told = {name: unit["count_max"] for name, unit in ruleset.describe()["units"].items()}
    assert told == {"bag": 2_000, "panner": 2_000, "miner": 1_000_000}
    for name, most in told.items():
        check_count(ruleset, ruleset.assets[name], most)
        with pytest.raises(InvalidCount, match=f"from 1 to {most}"):
            check_count(ruleset, ruleset.assets[name], most + 1)


@pytest.mark.parametrize(
    ("capacity", "rooms"),
    [("2000 - 700 * level", [300, 0]), ("9e14 * level", [900_000_000_001_000, 10**15])],
)
def test_description_tells_the_room_that_an_account_has(
    tmp_path: Path, capacity: str, rooms: list[int]
) -> None:
    """For a store that takes room, or adds more than an account holds, a row has what remains."""
    text = MINE + f"max_level = 2\ncapacity = {{ gold = '{capacity}' }}\n"
    ruleset = load(tmp_path, text)
    for level, room in enumerate(rooms, 1):
        assert level_row(ruleset, "mine", level, {})["capacity"] == {"gold": room}
        assert ruleset.rates({"mine": level}, {}).capacity == {"gold": room}
