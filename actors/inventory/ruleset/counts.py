"""How many units of a kind one order may contain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.inventory.ruleset.ruleset import Ruleset

COUNT_MAX: Final = 1_000_000
"""The maximum number of units in one order."""

WALKED_COUNT_MAX: Final = 2_000
"""The same if every delivery must be walked (bounds one forecast)."""


def count_max(ruleset: Ruleset, name: str) -> int:
    """Return the maximum number of units of ``name`` in one order."""
    return COUNT_MAX if is_foreseeable(ruleset, name) else WALKED_COUNT_MAX


def is_foreseeable(ruleset: Ruleset, name: str) -> bool:
    """Return whether this unit's effect can be a series; see `Works`."""
    return name not in ruleset.works.walked
