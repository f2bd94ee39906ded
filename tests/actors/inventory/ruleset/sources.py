"""Small rulesets for the tests, put together from lines of TOML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.inventory.ruleset import Ruleset, RulesetError, load_ruleset

if TYPE_CHECKING:
    from pathlib import Path

BASE = """
[resources.gold]
start = 100
base_capacity = 1000

[queues.work]
"""

MINE = """
[buildings.mine]
cost = { gold = 10 }
duration = 10
"""


def load(folder: Path, text: str, **parameters: float) -> Ruleset:
    """Return the ruleset that is written as ``text`` before the base."""
    path = folder / "rules.toml"
    path.write_text(text + BASE, encoding="utf-8")
    return load_ruleset(path, parameters=parameters)


def problems(folder: Path, text: str, **parameters: float) -> dict[str, str]:
    """Return the problems of a ruleset that must have some: message by place."""
    with pytest.raises(RulesetError) as caught:
        load(folder, text, **parameters)
    return {problem.where: problem.message for problem in caught.value.problems}
