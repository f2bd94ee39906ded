"""Refuses a change of rules that would leave somebody with something that no rule speaks of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.storage.census import (
    LEVEL,
    RESOURCE,
    UNIT,
    Move,
    Ownership,
    PastRules,
    census,
    clashes,
    past_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.database.driver import Connection
    from actors.inventory.ruleset import Ruleset

_CENSUS_S: Final = 300.0
_NAMED_MAX: Final = 5


class RulesChangeRefused(Exception):
    """Accounts own what the new rules do not have; the message names it, and the way out."""


async def check_rules_change(
    connection: Connection, ruleset: Ruleset, renamed: Mapping[str, str]
) -> None:
    """Let the rules change only if everything that is owned has a place under the new ones.

    ``renamed`` are the new names of what the rules before called otherwise. Does nothing where
    the rules are those of the last run.

    Raises:
        RulesChangeRefused: something has no place, or two levels of an account would become one.
        DatabaseError: the database is away or fails.
    """
    history = await connection.run(past_rules, timeout_s=_CENSUS_S)
    if not history or history[-1].version == ruleset.version:
        return
    owned = await connection.run(census, timeout_s=_CENSUS_S)
    becomes = _new_names(owned, _renamings(history, renamed))
    homeless = _homeless(becomes, ruleset)
    if homeless:
        raise RulesChangeRefused(_no_place(homeless, ruleset))
    moves = _meeting(becomes)
    if moves:
        met = await connection.run(lambda session: clashes(session, moves), timeout_s=_CENSUS_S)
        if met:
            raise RulesChangeRefused(_become_one(met, moves, ruleset))


def _renamings(
    history: Sequence[PastRules], renamed: Mapping[str, str]
) -> list[tuple[Mapping[str, str], ...]]:
    """Give for each era the renamings that came after it, in order; the first for none."""
    steps = [msgspec.json.decode(past.renamed, type=dict[str, str]) for past in history]
    return [(*steps[era:], renamed) for era in range(len(steps) + 1)]


def _new_names(
    owned: Iterable[Ownership], renamings: Sequence[Iterable[Mapping[str, str]]]
) -> list[tuple[Ownership, str]]:
    """Give with everything that is owned what it is called now."""
    named: list[tuple[Ownership, str]] = []
    for ownership in owned:
        name = ownership.name
        for step in renamings[ownership.era]:
            name = _renamed(name, step)
        named.append((ownership, name))
    return named


def _renamed(name: str, step: Mapping[str, str]) -> str:
    """Apply one renaming; a renamed building takes its instances along."""
    if name in step:
        return step[name]
    building, colon, instance = name.partition(":")
    return step.get(building, building) + colon + instance


def _homeless(becomes: Iterable[tuple[Ownership, str]], ruleset: Ruleset) -> dict[str, int]:
    """Count the owners of what the rules do not have, or have as something of another kind."""
    found: dict[str, int] = {}
    for ownership, name in becomes:
        if _kind(name, ruleset) != ownership.kind:
            found[name] = found.get(name, 0) + ownership.accounts
    return found


def _kind(name: str, ruleset: Ruleset) -> str | None:
    if name in ruleset.resources:
        return RESOURCE
    rules = ruleset.assets.get(name)
    if rules is None:
        return None
    return UNIT if rules.kind == "unit" else LEVEL


def _meeting(becomes: Iterable[tuple[Ownership, str]]) -> list[Move]:
    """Give the buildings and technologies of which several would become one."""
    sources: dict[tuple[int, str], list[Move]] = {}
    for ownership, name in becomes:
        if ownership.kind == LEVEL:
            move = Move(ownership.era, ownership.name, name)
            sources.setdefault((move.era, name), []).append(move)
    return [move for moves in sources.values() if len(moves) > 1 for move in moves]


def _no_place(homeless: Mapping[str, int], ruleset: Ruleset) -> str:
    most_first = sorted(homeless.items(), key=lambda item: (-item[1], item[0]))
    named = [_in_place(name, accounts, ruleset) for name, accounts in most_first]
    first = most_first[0][0]
    return (
        f"the ruleset {ruleset.name!r} does not have what accounts own, sent or have on order: "
        f"{_some(named)}; give each a place with world.renamed, "
        f'as in renamed = "{first}=<its new name>", or put it back into the ruleset'
    )


def _in_place(name: str, accounts: int, ruleset: Ruleset) -> str:
    """Name what has no place, and of which kind that is what goes by its name."""
    kind = _kind(name, ruleset)
    return f"{name} ({accounts})" if kind is None else f"{name} ({accounts}), now a {kind}"


def _become_one(met: Mapping[str, int], moves: Iterable[Move], ruleset: Ruleset) -> str:
    named: list[str] = []
    for name, accounts in met.items():
        olds = dict.fromkeys(move.name for move in moves if move.becomes == name)
        named.append(f"{' and '.join(olds)} would become {name} ({accounts})")
    return (
        f"the ruleset {ruleset.name!r} makes one of two levels that accounts have: "
        f"{_some(named)}; give each a name of its own with world.renamed"
    )


def _some(named: Sequence[str]) -> str:
    more = len(named) - _NAMED_MAX
    return ", ".join(named[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
