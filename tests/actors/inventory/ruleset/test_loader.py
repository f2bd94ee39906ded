"""Loading: where rulesets come from, and the effect of the world parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from actors.inventory.ruleset import (
    RulesetError,
    load_ruleset,
    restore_ruleset,
    shipped_rulesets,
)
from tests.actors.inventory.ruleset.sources import MINE, load, problems

WIND = "[parameters]\nwind = { default = 3, min = 1, max = 5.5 }\n"


def test_loader_finds_what_is_shipped() -> None:
    """Three rulesets come with the program, and each loads by its name."""
    assert shipped_rulesets() == ("ogame", "travian", "tutorial")
    for name in shipped_rulesets():
        ruleset = load_ruleset(name)
        assert ruleset.name == name
        assert ruleset.title
        assert ruleset.description


def test_loader_names_what_there_is_where_a_name_is_unknown() -> None:
    """A misspelt name gets the nearest one and the list."""
    with pytest.raises(RulesetError, match=r"did you mean 'tutorial'.*ogame, travian, tutorial"):
        load_ruleset("tutoral")


@pytest.mark.parametrize("source", ["missing.toml", Path("missing"), "rules\0.toml", "."])
def test_loader_refuses_what_cannot_be_read(source: str | Path) -> None:
    """A path that is not a file is a RulesetError as well."""
    with pytest.raises(RulesetError, match="cannot be read: "):
        load_ruleset(source)


def test_loader_takes_the_name_from_the_path(tmp_path: Path) -> None:
    """A ruleset is named after its file, without the suffix, and so is its title if it has none."""
    ruleset = load(tmp_path, MINE)
    assert ruleset.name == "rules"
    assert ruleset.title == "rules"


def test_loader_speed_is_always_a_parameter(tmp_path: Path) -> None:
    """A file need not mention speed to use it, or to have it set."""
    text = MINE.replace("duration = 10", 'duration = "10 / speed"')
    assert load(tmp_path, text).parameters == {"speed": 1}
    assert load(tmp_path, text).duration_ms("mine", 1, {}) == 10_000
    assert load(tmp_path, text, speed=2.5).duration_ms("mine", 1, {}) == 4_000


def test_loader_parameters_override_defaults(tmp_path: Path) -> None:
    """A given parameter replaces the default; the others keep theirs."""
    assert load(tmp_path, WIND).parameters == {"speed": 1, "wind": 3}
    assert load(tmp_path, WIND, wind=5.5).parameters == {"speed": 1, "wind": 5.5}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("speeed", 1, "unknown parameter 'speeed'; did you mean 'speed'?"),
        ("speed", 0, "must be more than 0"),
        ("speed", -1, "must be more than 0"),
        ("speed", float("nan"), "must lie between -10^18 and 10^18"),
        ("speed", float("inf"), "must lie between -10^18 and 10^18"),
        ("speed", 10**18 + 1, "must lie between -10^18 and 10^18"),
        ("speed", True, "must be a number, not True"),
        ("speed", "5", "must be a number, not '5'"),
        ("wind", 0.5, "must be at least 1"),
        ("wind", 6, "must be at most 5.5"),
    ],
)
def test_loader_refuses_bad_parameters(
    tmp_path: Path, name: str, value: object, message: str
) -> None:
    """An unknown name, a value out of bounds or a non-number is refused by name."""
    found = problems(tmp_path, WIND, **{name: cast("Any", value)})
    assert found == {f"parameters.{name}": message}


def test_loader_refuses_bad_defaults(tmp_path: Path) -> None:
    """A default has to keep to its own bounds."""
    found = problems(tmp_path, WIND.replace("default = 3", "default = 9"))
    assert found == {"parameters.wind": "must be at most 5.5"}


@pytest.mark.parametrize("name", shipped_rulesets())
def test_loader_restores_an_archive(name: str) -> None:
    """The archive restores the same ruleset: version, parameters and every value."""
    ruleset = load_ruleset(name, parameters={"speed": 2.5})
    again = restore_ruleset(ruleset.archive)
    assert again == ruleset
    assert again.describe() == ruleset.describe()


@pytest.mark.parametrize("section", ["resources", "buildings", "technologies", "units"])
def test_loader_lets_nothing_else_be_called_speed(tmp_path: Path, section: str) -> None:
    """In every formula `speed` is the world parameter, whether or not the file states it."""
    keys = "" if section == "resources" else "cost = { gold = 1 }\nduration = 1\n"
    text = f"{MINE}[{section}.speed]\n{keys}"
    assert problems(tmp_path, text) == {
        f"{section}.speed": "the name is already used by the world parameter that every game has"
    }
    stated = f"[parameters]\nspeed = 1\n{text}"
    assert problems(tmp_path, stated) == {
        f"{section}.speed": "the name is already used by parameters.speed"
    }


@pytest.mark.parametrize("section", ["resources", "units"])
def test_loader_restores_what_is_called_speed(tmp_path: Path, section: str) -> None:
    """A world that has run with `speed` as such a name continues; only a file may not use it."""
    keys = "" if section == "resources" else "cost = { gold = 1 }\nduration = 1\n"
    archive = load(tmp_path, f"{MINE}[{section}.ore]\n{keys}").archive
    ruleset = restore_ruleset(archive.replace('"ore"', '"speed"'))
    assert "speed" in ruleset.describe()[section]
    assert ruleset.parameters == {"speed": 1}


@pytest.mark.parametrize("text", ["units = 1", "parameters = 1\n[units.speed]", "speed = 1"])
def test_loader_looks_for_speed_in_tables_alone(tmp_path: Path, text: str) -> None:
    """A file of another shape also gets an error with a line per problem."""
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(RulesetError, match=r"rules\.toml: "):
        load_ruleset(tmp_path / "rules.toml")


def test_loader_refuses_bounds_that_leave_nothing(tmp_path: Path) -> None:
    """The error is about the bounds, even if a value is set."""
    text = WIND.replace("min = 1", "min = 7") + MINE
    assert problems(tmp_path, text) == {"parameters.wind": "min, 7, exceeds max, 5.5"}
