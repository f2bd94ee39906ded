"""How a rules change applies ``world.renamed``: each of its entries once, and never again.

The setting may still be in the configuration at later changes. Entries that the world's history
already contains are then skipped, because the old name may mean something else by now.
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
    """The outcome for each entry of ``world.renamed``, by its old name.

    ``applied`` entries are due at this change, ``done`` ones were applied at an earlier one.
    ``standing`` ones are refused because the old name keeps its place in the new rules, ``unknown``
    ones because the outgoing rules have no such name.
    """

    applied: Mapping[str, str]
    done: Mapping[str, str]
    standing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def already_done(
    asked: Mapping[str, str], history: Sequence[Mapping[str, str]]
) -> Mapping[str, str]:
    """Return the entries whose old names were last renamed just so in the history.

    An entry is left out if something took its old name again after that.
    """
    return {old: new for old, new in asked.items() if _became(old, history) == new}


def judge(
    asked: Mapping[str, str],
    history: Sequence[Mapping[str, str]],
    before: Ruleset | None,
    new: Ruleset,
) -> Renaming:
    """Decide what to do with each entry.

    ``history`` holds the renamings so far, oldest first; ``before`` is the outgoing ruleset, None
    if this program can no longer read it.

    An entry that the history has applied is not applied again, whatever has the old name since:
    a second request cannot be told from the first one left in place. An old name that the new rules
    have as the same kind of thing is renamed only if another entry gives that name to something
    else (two that swap names).
    """
    done = already_done(asked, history)
    places = kinds_of(new)
    kinds = {**dict.fromkeys(asked, ""), **places} if before is None else kinds_of(before)
    names = {old: _meant(old, kinds, asked) for old in asked}
    stays = {old for old in asked if _stays(names[old], kinds, places)}
    # A building is known too if each of its instances has an entry of its own.
    known = {*kinds, *map(_building, kinds)}
    applied = {old: becomes for old, becomes in asked.items() if old in known and old not in done}
    return Renaming(
        applied=applied,
        done=done,
        standing=tuple(old for old in applied if old in stays and not _is_taken(old, applied)),
        unknown=tuple(old for old in asked if old not in known and old not in done),
    )


def kinds_of(ruleset: Ruleset) -> dict[str, str]:
    """Return everything that can be owned under these rules, and its kind."""
    assets = {
        address: UNIT if asset.kind == "unit" else LEVEL
        for address, asset in ruleset.assets.items()
    }
    return {**dict.fromkeys(ruleset.resources, RESOURCE), **assets}


def _meant(old: str, kinds: Iterable[str], asked: Mapping[str, str]) -> list[str]:
    """Return what an entry renames: a building takes along the instances without own entries."""
    return [name for name in kinds if name == old or (_building(name) == old and name not in asked)]


def _stays(names: Iterable[str], before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Return whether any of these names remains the same kind of thing as before."""
    return any(after.get(name) == before[name] for name in names)


def _became(old: str, history: Iterable[Mapping[str, str]]) -> str | None:
    """Return what the history last made of a name; None if the name was reused after that."""
    became: str | None = None
    for step in history:
        if old in step:
            became = step[old]
        elif _is_taken(old, step):
            became = None
    return became


def _is_taken(old: str, applied: Mapping[str, str]) -> bool:
    """Return whether something else has this name from now on."""
    others = {becomes for name, becomes in applied.items() if name != old}
    return old in others or _building(old) in others


def _building(name: str) -> str:
    return name.partition(":")[0]
