"""The rules of a world: the ruleset's own parameters, and those that an operator sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import RulesetError
from app.config import ConfigError, load_config
from app.world_rules import load_world_rules

if TYPE_CHECKING:
    from pathlib import Path

    from actors.inventory.ruleset import Ruleset

RULES = """
[parameters]
speed = { default = 4, max = 100 }
wind = { default = 3, max = 5 }
[resources.gold]
[queues.site]
"""


def world(tmp_path: Path, text: str, rules: str = RULES) -> Ruleset:
    """Load the rules of a world with this in its configuration."""
    (tmp_path / "game.toml").write_text(rules)
    file = tmp_path / "config.toml"
    file.write_text(f'[world]\nruleset = "game.toml"\n{text}')
    return load_world_rules(load_config(file))


def test_what_is_not_set_is_as_the_ruleset_has_it(tmp_path: Path) -> None:
    """Speed too, which other commands also take from there."""
    assert world(tmp_path, "").parameters == {"speed": 4, "wind": 3}
    assert world(tmp_path, "speed = 2\n").parameters == {"speed": 2, "wind": 3}
    assert world(tmp_path, "[world.parameters]\nwind = 1\n").parameters == {"speed": 4, "wind": 1}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("speed = 101\n", "world.speed: must be at most 100"),
        ("[world.parameters]\nspeed = 0\n", "world.parameters.speed: must be more than 0"),
        ("[world.parameters]\nwind = 6\n", "world.parameters.wind: must be at most 5"),
        (
            "[world.parameters]\nwnd = 6\n",
            "world.parameters.wnd: unknown parameter 'wnd'; did you mean 'wind'?",
        ),
    ],
)
def test_parameter_that_the_rules_do_not_take_is_told_by_its_key(
    tmp_path: Path, text: str, told: str
) -> None:
    """The file is sound: it is the configuration that must change."""
    with pytest.raises(ConfigError) as caught:
        world(tmp_path, text)
    assert str(caught.value) == f"the configuration: {told}"


def test_fault_of_the_file_is_told_of_the_file(tmp_path: Path) -> None:
    """A default out of its own bounds is not the operator's setting."""
    with pytest.raises(RulesetError, match="wind: must be at most 5"):
        world(tmp_path, "speed = 2\n", RULES.replace("default = 3", "default = 30"))
