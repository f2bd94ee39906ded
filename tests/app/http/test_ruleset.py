"""The declared type of the ruleset against the descriptions of the shipped rulesets."""

from __future__ import annotations

import msgspec
import pytest

from actors.inventory.ruleset import load_ruleset, shipped_rulesets
from app.http.types.ruleset import RulesetDocument


@pytest.mark.parametrize("name", shipped_rulesets())
def test_ruleset_is_declared_to_the_last_member(name: str) -> None:
    """Nothing undeclared is returned, and nothing declared is of another type."""
    told = msgspec.json.decode(msgspec.json.encode(load_ruleset(name).describe()))
    document = msgspec.convert(told, RulesetDocument, strict=True)
    assert msgspec.to_builtins(document) == told
