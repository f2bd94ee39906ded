"""What ``world.renamed`` does at a change of rules: each of its entries once, and never again.

The setting may still stand in the configuration at later changes. What the history of the world
has already is left out then, for the old name may be something else by now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.storage.census import LEVEL, RESOURCE, UNIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from actors.inventory.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Renaming:
    """What comes of the entries of ``world.renamed``, each by its old name.

    ``applied`` is to be done at this change, ``done`` has been at an earlier one. ``standing`` are
    refused because the old name keeps its place in the new rules, ``unknown`` because the rules
    that end have no such name.
    """

    applied: Mapping[str, str]
    done: Mapping[str, str]
    standing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def already_done(
    asked: Mapping[str, str], history: Sequence[Mapping[str, str]]
) -> Mapping[str, str]:
    """Give the entries that are what the history last made of their old names.

    One is left out where something was called by the old name again after that.
    """
    return {old: new for old, new in asked.items() if _became(old, history) == new}


def judge(
    asked: Mapping[str, str],
    history: Sequence[Mapping[str, str]],
    before: Ruleset | None,
    new: Ruleset,
) -> Renaming:
    """Decide what to do with each entry.

    ``history`` are the renamings so far, oldest first; ``before`` are the rules that end, None
    where this program cannot read them any more.

    What the history has done is not done again, whatever goes by the old name since: nothing tells
    a second time from the first that was left in place. An old name that the new rules have as the
    same kind of thing is renamed only if another entry gives its owners' name to something else
    (two that change places).
    """
    done = already_done(asked, history)
    places = kinds_of(new)
    kinds = {**dict.fromkeys(asked, ""), **places} if before is None else kinds_of(before)
    names = {old: _meant(old, kinds, asked) for old in asked}
    stays = {old for old in asked if _stays(names[old], kinds, places)}
    # A building is there too where each of its instances has an entry of its own.
    known = {*kinds, *map(_building, kinds)}
    applied = {old: becomes for old, becomes in asked.items() if old in known and old not in done}
    return Renaming(
        applied=applied,
        done=done,
        standing=tuple(old for old in applied if old in stays and not _is_taken(old, applied)),
        unknown=tuple(old for old in asked if old not in known and old not in done),
    )


def kinds_of(ruleset: Ruleset) -> dict[str, str]:
    """Give all that can be owned under these rules, and of which kind it is for its owners."""
    assets = {
        address: UNIT if asset.kind == "unit" else LEVEL
        for address, asset in ruleset.assets.items()
    }
    return {**dict.fromkeys(ruleset.resources, RESOURCE), **assets}


def _meant(old: str, kinds: Iterable[str], asked: Mapping[str, str]) -> list[str]:
    """Give what an entry renames: a building takes those instances along that have none."""
    return [name for name in kinds if name == old or (_building(name) == old and name not in asked)]


def _stays(names: Iterable[str], before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Tell whether any of these is there as the same kind of thing as before."""
    return any(after.get(name) == before[name] for name in names)


def _became(old: str, history: Iterable[Mapping[str, str]]) -> str | None:
    """Give what the history last made of a name; None where it gave the name back after that."""
    became: str | None = None
    for step in history:
        if old in step:
            became = step[old]
        elif _is_taken(old, step):
            became = None
    return became


def _is_taken(old: str, applied: Mapping[str, str]) -> bool:
    """Tell whether something else is called so from now on."""
    others = {becomes for name, becomes in applied.items() if name != old}
    return old in others or _building(old) in others


def _building(name: str) -> str:
    return name.partition(":")[0]
