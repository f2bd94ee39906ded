"""What a compiled ruleset answers about prices, durations and prerequisites."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from tests.actors.inventory.ruleset.sources import MINE, load

if TYPE_CHECKING:
    from pathlib import Path

TOWN = """
[buildings.mine]
cost = { gold = 10 }
duration = "7.25 * level"
instances = 2

[buildings.yard]
cost = { gold = 10 }
duration = "5 + cost_gold + tools"
max_level = 3

[[buildings.yard.modifiers]]
what = "duration"
kinds = ["building"]
assets = ["cart"]
factor = "1 / (1 + level)"

[technologies.tools]
cost = { gold = 10 }
duration = [20, 30]
requires = { mine = 3, cart = 5 }
modifiers = [{ what = "duration", assets = ["mine"], factor = "2 ** -level" }]

[units.cart]
cost = { gold = 7 }
duration = 9
requires = { yard = 1 }
"""


def test_ruleset_costs_are_read_only(tmp_path: Path) -> None:
    """A price that is handed out cannot be changed for everybody else."""
    ruleset = load(tmp_path, TOWN)
    for mapping in (ruleset.cost("mine:1", 1), ruleset.assets, ruleset.parameters):
        assert isinstance(mapping, MappingProxyType)


def test_ruleset_cost_of_a_unit_has_no_level(tmp_path: Path) -> None:
    """The price of one unit does not depend on the level asked for."""
    ruleset = load(tmp_path, TOWN)
    assert ruleset.cost("cart", 0) == ruleset.cost("cart", 99) == {"gold": 7}
    assert ruleset.duration_ms("cart", 0, {}) == ruleset.duration_ms("cart", 99, {}) == 9_000


@pytest.mark.parametrize("level", [-1, 0, 4])
def test_ruleset_refuses_levels_that_there_are_not(tmp_path: Path, level: int) -> None:
    """Below 1 and above the maximum there is neither price nor duration."""
    ruleset = load(tmp_path, TOWN)
    with pytest.raises(ValueError, match=f"yard has levels 1 to 3, not {level}"):
        ruleset.cost("yard", level)
    with pytest.raises(ValueError, match=f"yard has levels 1 to 3, not {level}"):
        ruleset.duration_ms("yard", level, {})


@pytest.mark.parametrize("address", ["mine", "mine:0", "mine:3", "cart:1", "gold", ""])
def test_ruleset_does_not_know_other_addresses(tmp_path: Path, address: str) -> None:
    """Instances are addressed from 1, single assets by their name alone."""
    ruleset = load(tmp_path, TOWN)
    with pytest.raises(KeyError):
        ruleset.cost(address, 1)
    with pytest.raises(KeyError):
        ruleset.duration_ms(address, 1, {})
    with pytest.raises(KeyError):
        ruleset.missing(address, {}, {})


def test_ruleset_durations_multiply_factors_and_round_once(tmp_path: Path) -> None:
    """Base and factors stay exact until the end; then whole seconds, rounded down."""
    ruleset = load(tmp_path, TOWN)
    assert ruleset.duration_ms("mine:2", 3, {}) == 21_000  # 21.75
    assert ruleset.duration_ms("mine:2", 3, {"yard": 2}) == 7_000  # 7.25
    assert ruleset.duration_ms("mine:2", 4, {"yard": 1, "tools": 1}) == 7_000  # 29 / 4
    assert ruleset.duration_ms("cart", 1, {"yard": 1, "tools": 2}) == 4_000  # 4.5
    assert ruleset.duration_ms("tools", 2, {"yard": 3}) == 30_000


def test_ruleset_durations_read_costs_and_other_levels(tmp_path: Path) -> None:
    """A duration may depend on the price of its level and on other assets."""
    ruleset = load(tmp_path, TOWN)
    assert ruleset.duration_ms("yard", 1, {}) == 15_000
    assert ruleset.duration_ms("yard", 1, {"tools": 2}) == 17_000


def test_ruleset_durations_beyond_the_last_level_are_those_of_the_last(tmp_path: Path) -> None:
    """A modifier with a level beyond its table counts as its last level."""
    ruleset = load(tmp_path, TOWN)
    for address in ("mine:1", "yard"):
        most = ruleset.duration_ms(address, 1, {"yard": 3, "tools": 2})
        assert ruleset.duration_ms(address, 1, {"yard": 9, "tools": 9}) == most


@pytest.mark.parametrize(
    ("rule", "seconds", "expected_ms"),
    [
        ("", "0.3", 1_000),
        ("", "1.999", 1_000),
        ("minimum_seconds = 5", "3", 5_000),
        ("rounding = 'ceil'", "2.001", 3_000),
        ("rounding = 'nearest 10'", "14.9", 10_000),
        ("rounding = 'nearest 10'", "15", 20_000),
        ("rounding = 'nearest 10'", "4", 1_000),
        ("rounding = 'floor 0.05'\nminimum_seconds = 0.1", "0.29", 250),
        ("rounding = 'floor 0.05'\nminimum_seconds = 0.1", "0.01", 100),
        ("rounding = 'floor 0.001'", "'10 / 3'", 3_333),
    ],
)
def test_ruleset_durations_round_as_stated(
    tmp_path: Path, rule: str, seconds: str, expected_ms: int
) -> None:
    """Steps, direction and minimum are as in the file; by default whole seconds, at least one."""
    text = f"[durations]\n{rule}\n" + MINE.replace("duration = 10", f"duration = {seconds}")
    assert load(tmp_path, text).duration_ms("mine", 1, {}) == expected_ms


def test_ruleset_missing_names_what_is_not_met(tmp_path: Path) -> None:
    """Unmet prerequisites come with the level or number needed."""
    ruleset = load(tmp_path, TOWN)
    assert ruleset.missing("tools", {}, {}) == {"mine": 3, "cart": 5}
    assert ruleset.missing("tools", {"mine:1": 2, "mine:2": 2}, {"cart": 4}) == {
        "mine": 3,
        "cart": 5,
    }
    assert ruleset.missing("tools", {"mine:2": 3}, {"cart": 5}) == {}
    assert ruleset.missing("cart", {"yard": 1}, {}) == {}
    assert ruleset.missing("mine:1", {}, {}) == {}


def test_ruleset_is_immutable(tmp_path: Path) -> None:
    """No attribute of a ruleset can be set."""
    ruleset: Any = load(tmp_path, TOWN)
    with pytest.raises(AttributeError):
        ruleset.name = "other"
