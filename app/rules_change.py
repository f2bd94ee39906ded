"""Refuses a rules change that would leave an account with something the new rules do not define."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from actors.storage.census import (
    LEVEL,
    Move,
    census,
    clashes,
    past_rules,
    population,
)
from app.renaming import Renaming, already_done, judge, kinds_of
from app.rules_past import RulesPast, restored

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection
    from actors.inventory.ruleset import Ruleset
    from actors.storage.census import Ownership

_CENSUS_S: Final = 3_600.0
"""Time limit of each count: a minute for half a million accounts on a busy machine."""
_NAMED_MAX: Final = 5


class RulesChangeRefused(Exception):
    """The rules, or a new name, do not fit what accounts own; the message gives the remedy."""


async def check_rules_change(
    connection: Connection,
    ruleset: Ruleset,
    renamed: Mapping[str, str],
    *,
    log: FilteringBoundLogger,
) -> Renaming:
    """Let the rules change only if everything that is owned has a place under the new ones.

    ``renamed`` maps old names to new ones, as the operator has set them; the result says which of
    them apply to this change. If the rules are those of the last run, or the world's first, none
    does.

    Raises:
        RulesChangeRefused: something has no place, two levels of an account would become one, or
            an old name is unknown, or still has its place in the new rules.
        DatabaseError: the database is unavailable or fails.
    """
    history = await connection.run(past_rules, timeout_s=_CENSUS_S)
    steps = [msgspec.json.decode(past.renamed, type=dict[str, str]) for past in history]
    if not history or history[-1].version == ruleset.version:
        return Renaming(applied={}, done=already_done(renamed, steps))
    renaming = judge(renamed, steps, restored(history[-1].archive), ruleset)
    if renaming.unknown or renaming.standing:
        raise RulesChangeRefused(_no_renaming(renaming, ruleset))
    # It reads all that is owned: nothing else is logged meanwhile, and nothing listens.
    log.info("ruleset_change_checking", ruleset=ruleset.name, version=ruleset.version)
    owned = await connection.run(census, timeout_s=_CENSUS_S)
    accounts = await connection.run(population, timeout_s=_CENSUS_S)
    past = RulesPast(history, renaming.applied)
    homeless = _homeless(owned, past, ruleset)
    for name, makers in past.made(owned, accounts):
        if name not in ruleset.resources:
            homeless[name] = max(homeless.get(name, 0), makers)
    if homeless:
        raise RulesChangeRefused(_no_place(homeless, ruleset, renaming))
    moves = _meeting(owned, past)
    if moves:
        met = await connection.run(lambda session: clashes(session, moves), timeout_s=_CENSUS_S)
        if met:
            raise RulesChangeRefused(_become_one(met, moves, ruleset))
    return renaming


def _homeless(owned: Iterable[Ownership], past: RulesPast, ruleset: Ruleset) -> dict[str, int]:
    """Count the owners of what the rules do not have, or have as another kind."""
    found: dict[str, int] = {}
    kinds = kinds_of(ruleset)
    for each in owned:
        name = past.name(each.name, each.era)
        if kinds.get(name) != each.kind:
            found[name] = found.get(name, 0) + each.accounts
    return found


def _meeting(owned: Iterable[Ownership], past: RulesPast) -> list[Move]:
    """Return the buildings and technologies of which several would become one."""
    sources: dict[tuple[int, str], list[Move]] = {}
    for each in owned:
        if each.kind == LEVEL:
            move = Move(each.era, each.name, past.name(each.name, each.era))
            sources.setdefault((move.era, move.becomes), []).append(move)
    return [move for moves in sources.values() if len(moves) > 1 for move in moves]


def _no_renaming(renaming: Renaming, ruleset: Ruleset) -> str:
    """Describe the entries of ``world.renamed`` that make no sense at this change."""
    if renaming.unknown:
        return (
            f"world.renamed renames {_some(renaming.unknown)}, which the world's rules so far do "
            "not have; correct the name or remove it"
        )
    first = renaming.standing[0]
    return (
        f"world.renamed renames {_some(renaming.standing)}, which the ruleset {ruleset.name!r} "
        f"still has; remove it from world.renamed or from the ruleset: a new {first} can be "
        "added in a later change"
    )


def _no_place(homeless: Mapping[str, int], ruleset: Ruleset, renaming: Renaming) -> str:
    most_first = sorted(homeless.items(), key=lambda item: (-item[1], item[0]))
    before = {new: old for old, new in renaming.applied.items()}
    named = [
        _in_place(name, accounts, ruleset)
        + (f", as world.renamed calls {before[name]}" if name in before else "")
        + (f", which {name}={renaming.done[name]} renamed before" if name in renaming.done else "")
        for name, accounts in most_first
    ]
    first = before.get(most_first[0][0], most_first[0][0])
    return (
        f"the ruleset {ruleset.name!r} lacks what accounts own, sent or have on order: "
        f"{_some(named)}; map each to a new name with world.renamed, as in renamed = "
        f'"{first}=<its new name>", or put it back into the ruleset'
    )


def _in_place(name: str, accounts: int, ruleset: Ruleset) -> str:
    """Name what has no place, and the kind that its name has now, if any."""
    kind = kinds_of(ruleset).get(name)
    return f"{name} ({accounts})" if kind is None else f"{name} ({accounts}), now a {kind}"


def _become_one(met: Mapping[str, int], moves: Iterable[Move], ruleset: Ruleset) -> str:
    named: list[str] = []
    for name, accounts in met.items():
        olds = dict.fromkeys(move.name for move in moves if move.becomes == name)
        named.append(f"{' and '.join(olds)} would become {name} ({accounts})")
    return (
        f"the ruleset {ruleset.name!r} merges two levels that accounts have: {_some(named)}; "
        "give each its own name with world.renamed"
    )


def _some(named: Sequence[str]) -> str:
    more = len(named) - _NAMED_MAX
    return ", ".join(named[:_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
