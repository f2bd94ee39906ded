"""A ruleset that caches its rates: thousands of accounts ask for the same ones."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.inventory.ruleset import Rates, Ruleset

if TYPE_CHECKING:
    from collections.abc import Mapping

_Key: TypeAlias = "tuple[frozenset[tuple[str, int]], frozenset[tuple[str, int]]]"

KNOWN_MAX: Final = 10_000
"""Maximum number of cached rates; when it is reached, the cache is cleared."""


@dataclass(frozen=True, slots=True)
class RememberingRuleset(Ruleset):
    """The same rules; rates are computed once for every set of levels and units."""

    known: dict[_Key, Rates] = field(
        default_factory=dict[_Key, Rates], init=False, repr=False, compare=False
    )

    def rates(self, levels: Mapping[str, int], units: Mapping[str, int]) -> Rates:
        """See `Ruleset.rates`."""
        key = frozenset(levels.items()), frozenset(units.items())
        rates = self.known.get(key)
        if rates is None:
            if len(self.known) >= KNOWN_MAX:
                self.known.clear()
            rates = self.known[key] = self.works.rates(levels, units)
        return rates


def remembering(ruleset: Ruleset) -> Ruleset:
    """Return the same rules with a cache."""
    members = {each.name: getattr(ruleset, each.name) for each in dataclasses.fields(ruleset)}
    return RememberingRuleset(**members)
