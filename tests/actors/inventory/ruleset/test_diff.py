"""The difference between two rulesets."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from actors.inventory.ruleset import RulesetError, load_ruleset, restore_ruleset
from actors.inventory.ruleset.diff import Change, Entry, difference
from tests.actors.inventory.ruleset.sources import MINE, load

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    """Assets and resources in only one of the two are listed."""
    found = difference(load(tmp_path, OLD), load(tmp_path, MINE))
    assert found.removed == (Entry("resources", "ore"), Entry("buildings", "hut"))
    assert found.added == (Entry("buildings", "mine"),)
    assert found.changed == ()
    assert found


def test_diff_tells_values_by_level(tmp_path: Path) -> None:
    """Changes are reported by key and level; None stands for a missing value."""
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
    """Values that went are reported as well."""
    new = OLD.replace("max_level = 2", "max_level = 1")
    found = difference(load(tmp_path, OLD), load(tmp_path, new))
    assert found.changed == (
        Change("buildings", "hut", "max_level", None, 2, 1),
        Change("buildings", "hut", "cost.gold", 2, 5, None),
        Change("buildings", "hut", "duration_seconds", 2, 3, None),
    )


def test_diff_follows_parameters() -> None:
    """The same file at another speed differs in what speed affects."""
    found = difference(load_ruleset("tutorial"), load_ruleset("tutorial", parameters={"speed": 2}))
    touched = {change.key.partition(".")[0] for change in found.changed}
    assert touched == {"value", "base_per_hour", "duration_seconds", "produces"}


RICH = """
title = "Old"
[parameters]
wind = { default = 3, min = 1, max = 5 }
[balances.power]
[defaults.buildings]
refund = 0.5
[durations]
minimum_seconds = 1
[transfers]
per_day_max = 10
[buildings.hut]
cost = { gold = 5 }
duration = { levels = [30, 60], times = "wind" }
produces = { gold = "7 * level + lore" }
balance = { power = -2 }
requires = {}
[technologies.lore]
cost = { gold = [1, 2, 3] }
duration = "40 * level"
[[technologies.lore.modifiers]]
what = "production"
resource = "gold"
share = "0.1 * level"
assets = ["hut"]
[units.cart]
cost = { gold = 2 }
duration = 7
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "[balances.power]",
            '[balances.power]\nrounding = "ceil"',
            Change("balances", "power", "rounding", None, "floor", "ceil"),
        ),
        (
            "level + lore",
            "level + 2 * lore",
            Change(
                *("buildings", "hut", "produces.gold", None),
                *("7 * level + lore", "7 * level + 2 * lore"),
            ),
        ),
        ("max = 5", "max = 6", Change("parameters", "wind", "max", None, 5, 6)),
        (
            "minimum_seconds = 1",
            "minimum_seconds = 2",
            Change("durations", "minimum_seconds", "value", None, 1, 2),
        ),
        ('"Old"', '"New"', Change("ruleset", "title", "value", None, "Old", "New")),
        ("requires = {}\n", "", Change("buildings", "hut", "requires", None, {}, None)),
    ],
)
def test_diff_tells_what_shows_in_no_table(
    tmp_path: Path, old: str, new: str, told: Change
) -> None:
    """Rules for only some accounts, or hidden from players, are reported as the file has them."""
    found = difference(load(tmp_path, RICH), load(tmp_path, RICH.replace(old, new)))
    assert found.changed == (told,)


HUT = """
[buildings.hut]
cost = { gold = 5 }
duration = { levels = [30, 60], times = "1" }
produces = { gold = "7 * level", ore = "level + lore" }
[technologies.lore]
cost = { gold = 1 }
duration = 40
max_level = 1
modifiers = [{ what = "production", resource = "ore", share = "0.1 * level" }]
[resources.ore]
"""


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (
            'gold = "7 * level", ore = "level + lore"',
            'gold = "8 * level", ore = "level + 50 * lore"',
            {"produces.ore"},
        ),
        ('"7 * level"', '"8 * level + lore"', {"produces.gold"}),
        (
            'produces = { gold = "7 * level"',
            'consumes = { gold = "100 * lore" }\nproduces = { gold = "8 * level"',
            {"consumes.gold"},
        ),
        ("= 40", '= "41 / (1 + hut)"', {"duration"}),
        ("gold = 1 }", "gold = 2 }\ncost_growth = 2", {"cost_growth"}),
        ('share = "0.1 * level"', 'share = "0.2 * level", assets = ["hut"]', {"modifiers"}),
        ('gold = "7 * level"', 'gold = "8 * level"', set[str]()),
        ('gold = "7 * level"', 'gold = "8 * level + 1"', {"produces.gold"}),
        ('"7 * level"', "{ levels = [300, 8, 14] }", {"produces.gold", "produces.gold.levels"}),
        ("[30, 60]", "[31, 61]", set[str]()),
    ],
)
def test_diff_hides_nothing_behind_what_shows(
    tmp_path: Path, old: str, new: str, keys: set[str]
) -> None:
    """Changes that no table shows are reported from the files, and nothing else is."""
    found = difference(load(tmp_path, HUT), load(tmp_path, HUT.replace(old, new)))
    shown = {"produces.gold", "duration_seconds", "cost.gold", "modifies"}
    assert shown & {change.key for change in found.changed}
    told = {change.key for change in found.changed if change.level is None}
    assert told - {"modifies"} == keys


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths to all values of a file."""
    if path:
        yield path
    members = (
        cast("dict[str, Any]", value).items()
        if isinstance(value, dict)
        else enumerate(cast("list[Any]", value))
        if isinstance(value, list)
        else ()
    )
    for key, member in members:
        yield from places(member, (*path, key))


SHIPPED = {name: json.loads(load_ruleset(name).archive) for name in ("tutorial", "travian")}
COMPILED = {name: load_ruleset(name) for name in SHIPPED}
OTHERS: st.SearchStrategy[object] = st.sampled_from(
    [0, 1, 1.0, 2, 0.5, 7, "level", "2 * level", "ceil", "wood", True, [], {}, [1, 2], "Other"]
)


@given(st.sampled_from(sorted(SHIPPED)), st.data())
@settings(max_examples=50)
def test_diff_is_empty_for_the_same_version_alone(name: str, data: st.DataObject) -> None:
    """Any single value changed or left out is reported if it makes a new version."""
    archive = copy.deepcopy(SHIPPED[name])
    *path, last = data.draw(st.sampled_from(list(places(archive["rules"]))))
    parent = archive["rules"]
    for key in path:
        parent = parent[key]
    if data.draw(st.booleans()):
        del parent[last]
    else:
        parent[last] = data.draw(OTHERS)
    try:
        new = restore_ruleset(json.dumps(archive))
    except RulesetError:
        assume(False)
        return
    old = COMPILED[name]
    assert bool(difference(old, new)) == (old.version != new.version)
    assert bool(difference(new, old)) == (old.version != new.version)
