"""The designers' guide: its worked example is a ruleset that behaves as described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actors.inventory.ruleset import Ruleset, load_ruleset
from actors.inventory.ruleset.check import warnings_of

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "rulesets.md"


@pytest.fixture
def village(tmp_path: Path) -> Ruleset:
    """Return the ruleset formed by the guide's TOML blocks."""
    blocks = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "village.toml"
    path.write_text("\n".join(blocks), encoding="utf-8")
    return load_ruleset(path)


def test_guide_example_is_a_game(village: Ruleset) -> None:
    """The example loads, and its assets behave as their text says."""
    assert village.title == "Fishing village"
    assert village.rates({"hut": 1, "jetty": 1}, {}).balances["crew"].factor_percent == 100
    assert village.rates({"hut": 1, "jetty": 1}, {}).per_hour["fish"] == 31
    assert village.rates({"hut": 1, "jetty": 1, "nets": 5}, {}).per_hour["fish"] == 31 + 12
    assert village.rates({"smokehouse": 1}, {}).capacity["fish"] == 700
    assert village.duration_ms("hut", 1, {"carpentry": 1}) == 54_000


def test_guide_example_warns_of_wood_alone(village: Ruleset) -> None:
    """Checking the example prints what the guide shows."""
    warnings = warnings_of(village)
    assert warnings
    for warning in warnings:
        assert warning.where.endswith(".cost.wood")
        assert "there is never room for more than 500" in warning.message
