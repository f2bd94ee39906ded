"""Refuses a change of rules that would leave somebody with something that no rule speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.census import Ownership, PastRules, census, past_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.database.driver import Connection
    from actors.inventory.ruleset import Ruleset

_CENSUS_S = 300.0
_NAMED_MAX = 5


class RulesChangeRefused(Exception):
    """Accounts own what the new rules do not have; the message names it, and the way out."""


async def check_rules_change(
    connection: Connection, ruleset: Ruleset, renamed: Mapping[str, str]
) -> None:
    """Let the rules change only if everything that is owned has a place under the new ones.

    ``renamed`` are the new names of what the rules before called otherwise. Does nothing where
    the rules are those of the last run.

    Raises:
        RulesChangeRefused: something has no place.
        DatabaseError: the database is away or fails.
    """
    history = await connection.run(past_rules, timeout_s=_CENSUS_S)
    if not history or history[-1].version == ruleset.version:
        return
    owned = await connection.run(census, timeout_s=_CENSUS_S)
    homeless = _homeless(owned, _renamings(history, renamed), ruleset)
    if homeless:
        raise RulesChangeRefused(_complaint(homeless, ruleset))


def _renamings(
    history: Sequence[PastRules], renamed: Mapping[str, str]
) -> dict[str, tuple[Mapping[str, str], ...]]:
    """Give for each version the renamings that came after it, in order."""
    steps = [msgspec.json.decode(past.renamed, type=dict[str, str]) for past in history]
    after: dict[str, tuple[Mapping[str, str], ...]] = {}
    for index, past in enumerate(history):
        after[past.version] = (*steps[index + 1 :], renamed)
    return after


def _homeless(
    owned: Iterable[Ownership],
    renamings: Mapping[str, tuple[Mapping[str, str], ...]],
    ruleset: Ruleset,
) -> dict[str, int]:
    found: dict[str, int] = {}
    for ownership in owned:
        name = ownership.name
        for step in renamings.get(ownership.ruleset, ()):
            name = _renamed(name, step)
        if name not in ruleset.assets and name not in ruleset.resources:
            found[name] = found.get(name, 0) + ownership.accounts
    return found


def _renamed(name: str, step: Mapping[str, str]) -> str:
    """Apply one renaming; a renamed building takes its instances along."""
    if name in step:
        return step[name]
    building, colon, instance = name.partition(":")
    return step.get(building, building) + colon + instance


def _complaint(homeless: Mapping[str, int], ruleset: Ruleset) -> str:
    most_first = sorted(homeless.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{name} ({accounts})" for name, accounts in most_first[:_NAMED_MAX])
    more = f" and {len(homeless) - _NAMED_MAX} more" if len(homeless) > _NAMED_MAX else ""
    first = most_first[0][0]
    return (
        f"the ruleset {ruleset.name!r} does not have what accounts own, sent or have on order: "
        f"{named}{more}; give each a place with world.renamed, "
        f'as in renamed = "{first}=<its new name>", or put it back into the ruleset'
    )
