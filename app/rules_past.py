"""A world's past rules: what they called things, and what accounts could produce under them.

When an account is next read, it is settled under each past ruleset for its time: what it will
have produced by then is not stored anywhere yet.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from actors.inventory.ruleset import RulesetError, restore_ruleset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from actors.inventory.ruleset import Ruleset
    from actors.storage.census import Ownership, PastRules


class RulesPast:
    """A world's history, with ``renamed`` as its last step, into the new rules.

    An era is an entry of the history, counted from 1; 0 is before all of them.
    """

    def __init__(self, history: Sequence[PastRules], renamed: Mapping[str, str]) -> None:
        self._history = history
        steps = [msgspec.json.decode(past.renamed, type=dict[str, str]) for past in history]
        self._steps: list[Mapping[str, str]] = [*steps, renamed]

    def name(self, old: str, era: int, until: int | None = None) -> str:
        """Translate a name of ``era`` into era ``until``, or into the new rules."""
        for step in self._steps[era:until]:
            old = _renamed(old, step)
        return old

    def made(
        self, owned: Sequence[Ownership], population: Mapping[int, int]
    ) -> Iterator[tuple[str, int]]:
        """Yield the new names of what accounts may have produced, with a minimum of accounts.

        The inputs that production needs, and whether it stood still, are not considered.
        """
        read = cache(restored)
        first = max(1, min(population, default=1))
        for era, past in enumerate(self._history[first - 1 :], first):
            rules = read(past.archive)
            if rules is None:
                continue
            for resource in rules.resources.values():
                if resource.base_per_hour > 0:
                    accounts = sum(n for last, n in population.items() if last <= era)
                else:
                    accounts = self._owners_of(_makers(rules, resource.name), era, owned)
                if accounts:
                    yield self.name(resource.name, era), accounts

    def _owners_of(self, assets: frozenset[str], era: int, owned: Iterable[Ownership]) -> int:
        """Count the owners of the most widely owned of these assets, by their names in ``era``."""
        return max(
            (
                each.accounts
                for each in owned
                if each.era <= era and self.name(each.name, each.era, era) in assets
            ),
            default=0,
        )


def _renamed(name: str, step: Mapping[str, str]) -> str:
    """Apply one renaming; a renamed building takes its instances along."""
    if name in step:
        return step[name]
    building, colon, instance = name.partition(":")
    return step.get(building, building) + colon + instance


def restored(archive: str) -> Ruleset | None:
    """Restore archived rules; None if this program no longer can."""
    try:
        return restore_ruleset(archive)
    except RulesetError:
        return None


def _makers(rules: Ruleset, resource: str) -> frozenset[str]:
    """Return the assets that produce a resource."""
    return frozenset(
        maker.address
        for maker in rules.works.makers
        if any(flow.name == resource and flow.sign > 0 for flow in maker.flows)
    )
