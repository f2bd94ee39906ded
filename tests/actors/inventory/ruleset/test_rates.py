"""Rates: income part by part, balances with their factor, room, bonuses."""

from __future__ import annotations

import math
import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.inventory.ruleset import BalanceReading, Ruleset, load_ruleset
from actors.inventory.ruleset.rates import factor_percent
from tests.actors.inventory.ruleset.sources import load

if TYPE_CHECKING:
    from actors.inventory.ruleset.rounding import Mode

WORLD = """
[resources.ore]
[balances.power]
[balances.crew]

[buildings.mine]
cost = { gold = 10 }
duration = 10
produces = { ore = "10.5 * level" }
balance = { power = -4, crew = "-level" }

[buildings.smelter]
cost = { gold = 10 }
duration = 10
produces = { gold = "3 * level" }
consumes = { ore = "2.5 * level" }
balance = { power = "-level" }

[buildings.plant]
cost = { gold = 10 }
duration = 10
balance = { power = "6 * level * (1 + grid / 2)", crew = 5 }

[buildings.hall]
cost = { gold = 10 }
duration = 10
instances = 2
capacity = { gold = "1000 + 100.5 * level" }

[technologies.grid]
cost = { gold = 10 }
duration = 10
max_level = 4
modifiers = [{ what = "production", resource = "ore", share = "0.1 * level" }]

[units.cart]
cost = { gold = 10 }
duration = 10
produces = { ore = 0.75 }
capacity = { gold = 2.5 }
balance = { power = -1 }
"""


def test_there_is_never_less_room_than_none(tmp_path: Path) -> None:
    """Assets whose levels take room away may together take more than there is."""
    text = WORLD.replace("1000 + 100.5 * level", "1000 - 400 * level").replace(
        "instances = 2", "instances = 3\nmax_level = 2"
    )
    rules = load(tmp_path, text)
    assert rules.rates({"hall:1": 2}, {}).capacity["gold"] == 200
    assert rules.rates({"hall:1": 2, "hall:2": 1}, {}).capacity["gold"] == 0
    assert rules.rates({"hall:1": 2, "hall:2": 1}, {"cart": 120}).capacity["gold"] == 100


def test_rates_of_nothing_are_base_income_and_base_room(tmp_path: Path) -> None:
    """Without assets there is base income and base room, and balances suffice."""
    text = WORLD.replace("[resources.ore]", '[resources.ore]\nbase_per_hour = "7.9 * speed"')
    rates = load(tmp_path, text, speed=2).rates({}, {})
    assert rates.per_hour == {"ore": 15, "gold": 0}
    assert rates.capacity == {"ore": None, "gold": 1000}
    assert rates.balances == {"power": BalanceReading(0, 0, 100), "crew": BalanceReading(0, 0, 100)}


def test_rates_round_each_part_down_by_itself(tmp_path: Path) -> None:
    """Production, consumption and bonus are floored one by one, then added."""
    ruleset = load(tmp_path, WORLD)
    rates = ruleset.rates({"mine": 1, "smelter": 1, "plant": 2}, {})
    assert rates.per_hour == {"ore": 10 - 2, "gold": 3}
    rates = ruleset.rates({"mine": 1, "smelter": 1, "plant": 2, "grid": 1}, {})
    assert rates.per_hour == {"ore": 10 - 2 + 1, "gold": 3}  # a tenth of 10.5


def test_rates_bonus_is_a_share_of_all_unrounded_production(tmp_path: Path) -> None:
    """A bonus is one part: the share of the exact sum over all producers of the resource."""
    ruleset = load(tmp_path, WORLD)
    rates = ruleset.rates({"mine": 1, "plant": 9, "grid": 4}, {"cart": 3})
    # 10.5 and 3 carts' 2.25 make 12.75; four tenths of it are 5.1.
    assert rates.per_hour["ore"] == 10 + 2 + 5


def test_rates_bonus_leaves_consumption_alone(tmp_path: Path) -> None:
    """A bonus is a share of production, not of consumption."""
    ruleset = load(tmp_path, WORLD)
    with_grid = ruleset.rates({"smelter": 4, "plant": 9, "grid": 4}, {})
    assert with_grid.per_hour["ore"] == -10
    assert ruleset.works.bonuses[0].shares[4] == (2, 5)


def test_rates_scale_what_draws_on_a_short_balance(tmp_path: Path) -> None:
    """A shortage slows production and consumption of the assets that draw on it, and no others."""
    ruleset = load(tmp_path, WORLD)
    rates = ruleset.rates({"mine": 2, "smelter": 2, "plant": 1}, {})
    assert rates.balances["power"] == BalanceReading(6, 10, 60)
    assert rates.balances["crew"] == BalanceReading(5, 2, 100)
    assert rates.per_hour == {"ore": 12 - 3, "gold": 3}  # 21 and 5 and 6, each at 60 per cent


def test_rates_go_by_the_scarcest_balance(tmp_path: Path) -> None:
    """An asset that draws on several balances works at the lowest factor; bonuses follow."""
    ruleset = load(tmp_path, WORLD)
    rates = ruleset.rates({"mine": 20, "plant": 1, "grid": 4}, {})
    assert rates.balances["power"] == BalanceReading(18, 80, 22)
    assert rates.balances["crew"] == BalanceReading(5, 20, 25)
    assert rates.per_hour["ore"] == 46 + 18  # 22 per cent of 210 are 46.2, four tenths of it 18.48


def test_rates_without_any_supply_stand_still(tmp_path: Path) -> None:
    """If nothing is produced of a balance, its factor is 0."""
    rates = load(tmp_path, WORLD).rates({"mine": 1}, {})
    assert rates.balances["power"] == BalanceReading(0, 4, 0)
    assert rates.per_hour["ore"] == 0


def test_rates_of_units_round_the_whole_number_of_them(tmp_path: Path) -> None:
    """Units' contributions are multiplied first and rounded afterwards."""
    ruleset = load(tmp_path, WORLD)
    rates = ruleset.rates({"plant": 3}, {"cart": 3})
    assert rates.per_hour["ore"] == 2  # 2.25
    assert rates.capacity["gold"] == 1007  # 7.5
    assert rates.balances["power"] == BalanceReading(18, 3, 100)
    assert ruleset.rates({}, {"cart": 3}).per_hour["ore"] == 0


def test_rates_capacity_adds_what_levels_add(tmp_path: Path) -> None:
    """Room is the base plus, for each instance, what its level adds to level 0."""
    ruleset = load(tmp_path, WORLD)
    assert ruleset.rates({"hall:1": 1}, {}).capacity["gold"] == 1100
    assert ruleset.rates({"hall:1": 1, "hall:2": 2}, {}).capacity["gold"] == 1301


def test_rates_follow_other_assets_levels(tmp_path: Path) -> None:
    """A formula that names another asset gives the value for that asset's level."""
    ruleset = load(tmp_path, WORLD)
    for grid in range(5):
        rates = ruleset.rates({"plant": 3, "grid": grid}, {})
        assert rates.balances["power"].produced == 18 + 9 * grid


def test_rates_beyond_the_last_level_are_those_of_the_last(tmp_path: Path) -> None:
    """An account that owns more than a changed ruleset sells keeps the highest level's values."""
    ruleset = load(tmp_path, WORLD)
    most = ruleset.rates({"mine": 20, "plant": 20, "grid": 4}, {})
    assert ruleset.rates({"mine": 99, "plant": 20, "grid": 9}, {}) == most


@pytest.mark.parametrize(
    ("mode", "produced", "used", "expected"),
    [
        ("floor", 2, 3, 66),
        ("nearest", 2, 3, 67),
        ("ceil", 2, 3, 67),
        ("floor", 999, 1000, 99),
        ("nearest", 999, 1000, 100),
        ("nearest", 1, 200, 1),
        ("ceil", 1, 1000, 1),
        ("floor", 5, 5, 100),
        ("ceil", 0, 5, 0),
        ("nearest", 7, 5, 100),
    ],
)
def test_rates_factor_is_rounded_as_stated(
    mode: Mode, produced: int, used: int, expected: int
) -> None:
    """The factor is in whole per cent, rounded as the balance says, never above 100."""
    assert factor_percent(produced, used, mode) == expected


@cache
def ogame(speed: float, temperature: int) -> Ruleset:
    """Return the published game on a given world."""
    return load_ruleset("ogame", parameters={"speed": speed, "temperature": temperature})


@settings(deadline=None)  # the first example of a world loads its ruleset
@given(
    st.fixed_dictionaries(
        {
            name: st.integers(0, 30)
            for name in (
                "metal_mine",
                "crystal_mine",
                "deuterium_synthesizer",
                "solar_plant",
                "fusion_reactor",
                "energy_technology",
                "plasma_technology",
            )
        }
    ),
    st.integers(0, 50),
    st.sampled_from([(1, 20), (7, -60), (0.5, 100)]),
)
def test_rates_of_ogame_equal_its_formulas(
    levels: dict[str, int], satellites: int, world: tuple[float, int]
) -> None:
    """Income and energy are what the game's formulas give in exact arithmetic."""
    speed, temperature = world
    ruleset = ogame(speed, temperature)
    found = ruleset.rates(levels, {"solar_satellite": satellites})
    grown = {
        name: levels[name] * Fraction(11, 10) ** levels[name]
        for name in ("metal_mine", "crystal_mine", "deuterium_synthesizer", "solar_plant")
    }
    reactor, energy = levels["fusion_reactor"], levels["energy_technology"]
    produced = (
        math.floor(20 * grown["solar_plant"])
        + math.floor(30 * reactor * Fraction(105 + energy, 100) ** reactor)
        + satellites * ((temperature + 140) // 6)
    )
    used = (
        math.ceil(10 * grown["metal_mine"])
        + math.ceil(10 * grown["crystal_mine"])
        + math.ceil(20 * grown["deuterium_synthesizer"])
    )
    percent = min(100, 100 * produced // used) if used else 100
    assert found.balances["energy"] == BalanceReading(produced, used, percent)
    rate = Fraction(speed) * percent / 100
    cold = Fraction(144, 100) - Fraction(4, 1000) * temperature
    mines = {
        "metal": (30, 30 * grown["metal_mine"] * rate, Fraction(1, 100)),
        "crystal": (15, 20 * grown["crystal_mine"] * rate, Fraction(66, 10_000)),
        "deuterium": (0, 10 * grown["deuterium_synthesizer"] * cold * rate, Fraction(33, 10_000)),
    }
    burnt = math.floor(10 * reactor * Fraction(11, 10) ** reactor * Fraction(speed))
    assert found.per_hour == {
        name: math.floor(base * Fraction(speed))
        + math.floor(mine)
        + math.floor(mine * share * levels["plasma_technology"])
        - (burnt if name == "deuterium" else 0)
        for name, (base, mine, share) in mines.items()
    }


STORES = """
[units.chest]
cost = { gold = 10 }
duration = 10
capacity = { gold = 5e14 }

[buildings.vault]
cost = { gold = 10 }
duration = 10
instances = 3
capacity = { gold = "4e14 * level" }

[buildings.pit]
cost = { gold = 10 }
duration = 10
max_level = 9
capacity = { gold = "10 ** 18 - 2e14 * level" }
"""


@given(
    st.dictionaries(st.sampled_from(["vault:1", "vault:2", "vault:3", "pit"]), st.integers(0, 9)),
    st.integers(0, 10**15),
)
def test_rates_room_lies_between_nothing_and_what_an_account_may_hold(
    levels: dict[str, int], chests: int
) -> None:
    """However much stores add or take, there is room for 0 to 10^15, and for their sum between."""
    room = stores().rates(levels, {"chest": chests}).capacity["gold"]
    vaults = sum(level for name, level in levels.items() if name != "pit")
    added = 4 * 10**14 * vaults - 2 * 10**14 * levels.get("pit", 0) + 5 * 10**14 * chests
    assert room == min(max(1000 + added, 0), 10**15)


@cache
def stores() -> Ruleset:
    """Return a world whose stores add and take more than an account may hold."""
    with tempfile.TemporaryDirectory() as folder:
        return load(Path(folder), STORES)
