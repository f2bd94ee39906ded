"""The difference between two rulesets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.ruleset import load_ruleset
from actors.inventory.ruleset.diff import Change, Entry, difference
from tests.actors.inventory.ruleset.sources import MINE, load

if TYPE_CHECKING:
    from pathlib import Path

OLD = """
[resources.ore]
[buildings.hut]
cost = { gold = 5 }
duration = 3
max_level = 2
"""


def test_diff_of_equal_rulesets_is_empty() -> None:
    """A ruleset does not differ from itself."""
    found = difference(load_ruleset("ogame"), load_ruleset("ogame"))
    assert not found
    assert (found.added, found.removed, found.changed) == ((), (), ())


def test_diff_names_what_came_and_went(tmp_path: Path) -> None:
    """Assets and resources that only one of the two has are listed."""
    found = difference(load(tmp_path, OLD), load(tmp_path, MINE))
    assert found.removed == (Entry("resources", "ore"), Entry("buildings", "hut"))
    assert found.added == (Entry("buildings", "mine"),)
    assert found.changed == ()
    assert found


def test_diff_tells_values_by_level(tmp_path: Path) -> None:
    """What changed is told by key and level; None stands for what is not there."""
    new = OLD.replace("max_level = 2", "max_level = 3").replace("gold = 5", "gold = [5, 6, 7]")
    new = new.replace("[buildings.hut]", "[parameters]\nspeed = 2\n[buildings.hut]\nrefund = 0.5")
    found = difference(load(tmp_path, OLD), load(tmp_path, new))
    assert found.changed == (
        Change("parameters", "speed", "value", None, 1, 2),
        Change("buildings", "hut", "refund", None, 1.0, 0.5),
        Change("buildings", "hut", "max_level", None, 2, 3),
        Change("buildings", "hut", "cost.gold", 2, 5, 6),
        Change("buildings", "hut", "cost.gold", 3, None, 7),
        Change("buildings", "hut", "duration_seconds", 3, None, 3),
    )


def test_diff_tells_the_other_way_round(tmp_path: Path) -> None:
    """Values that went are told as well."""
    new = OLD.replace("max_level = 2", "max_level = 1")
    found = difference(load(tmp_path, OLD), load(tmp_path, new))
    assert found.changed == (
        Change("buildings", "hut", "max_level", None, 2, 1),
        Change("buildings", "hut", "cost.gold", 2, 5, None),
        Change("buildings", "hut", "duration_seconds", 2, 3, None),
    )


def test_diff_follows_parameters() -> None:
    """The same file at another speed differs in what speed touches."""
    found = difference(load_ruleset("tutorial"), load_ruleset("tutorial", parameters={"speed": 2}))
    touched = {change.key.partition(".")[0] for change in found.changed}
    assert touched == {"value", "base_per_hour", "duration_seconds", "produces"}
