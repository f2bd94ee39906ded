"""The difference between two rulesets: names added and removed, and values that differ."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from actors.inventory.ruleset.description import describe, level_row
from actors.inventory.ruleset.model import SECTIONS as SECTION_OF

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from actors.inventory.ruleset.ruleset import Ruleset

SECTIONS = (
    "parameters",
    "resources",
    "balances",
    "queues",
    "transfers",
    "buildings",
    "technologies",
    "units",
)

_Path: TypeAlias = tuple[str, ...]

_TOLD_AS: Final[Mapping[str, str]] = MappingProxyType(
    {"duration": "duration_seconds", "consumes": "produces", "default": "value"}
)
"""Keys of the file that a ruleset's description lacks, and those that stand for them there."""

_WITH_OTHERS: Final = frozenset({"duration", "produces", "consumes", "balance", "capacity"})
"""Keys whose formulas may name other assets; the tables show them with none of those built."""
_NAME: Final = re.compile("[a-z][a-z0-9_]*")
_LEVELED: Final = frozenset({"buildings", "technologies"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that only one of the rulesets has: ``section`` is its table, such as ``units``."""

    section: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; ``level`` if it belongs to a level; None: absent."""

    section: str
    name: str
    key: str
    level: int | None
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes from ``old`` to ``new``, in the order of their tables."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        """Return whether there is any difference."""
        return bool(self.added or self.removed or self.changed)


def difference(old: Ruleset, new: Ruleset) -> Difference:
    """Return what differs: in the descriptions of the two rulesets, and otherwise in their files.

    It is never empty if the versions differ.
    """
    before, after = describe(old), describe(new)
    added: list[Entry] = []
    removed: list[Entry] = []
    changed: list[Change] = []
    for section in SECTIONS:
        was, now = before[section], after[section]
        added += [Entry(section, name) for name in now if name not in was]
        removed += [Entry(section, name) for name in was if name not in now]
        for name in was:
            if name in now:
                changed += _changes(section, name, was[name], now[name])
    told: list[Entry | Change] = [*added, *removed, *changed]
    shown = frozenset(map(_place_of, told)) - _changed_unbuilt(old, new)
    changed += _untold(_written(old, new), _written(new, old), shown)
    return Difference(tuple(added), tuple(removed), tuple(changed))


def _untold(
    was: Mapping[_Path, object], now: Mapping[_Path, object], shown: frozenset[_Path]
) -> Iterator[Change]:
    """Yield what differs in the files alone: what acts only together with others, or on nobody."""
    paths = dict.fromkeys([*was, *now])
    leveled = frozenset(path[1] for path in paths if len(path) > 1 and path[0] in _LEVELED)
    for path in paths:
        old, new = was.get(path), now.get(path)
        if _canonical(old) == _canonical(new):
            continue
        section, name, *rest = path if len(path) > 1 else ("ruleset", *path)
        head, *members = rest or ["value"]
        # The effect of others on it is invisible where none of them is built.
        hidden = head in _WITH_OTHERS and leveled & (_names(old) | _names(new))
        keys = () if hidden else _shown_as(head, members)
        places = [(section, name), *((section, name, each) for each in keys)]
        if shown.isdisjoint(places):
            yield Change(section, name, ".".join(rest) or "value", None, old, new)


def _shown_as(head: str, members: Sequence[str]) -> list[str]:
    """Return the keys by which a description would show a key of the file."""
    key = _TOLD_AS.get(head, head)
    return [key, *(f"{key}.{member}" for member in members[:1])]


def _place_of(told: Entry | Change) -> _Path:
    """Return the place that is described: a whole name, or a key of it."""
    whole = (told.section, told.name)
    return whole if isinstance(told, Entry) else (*whole, told.key)


def _changed_unbuilt(old: Ruleset, new: Ruleset) -> set[_Path]:
    """Return the keys whose effects at level 0 differ: the tables begin at level 1."""
    before, after = _unbuilt(old), _unbuilt(new)
    return {path for path in {**before, **after} if before.get(path) != after.get(path)}


def _unbuilt(ruleset: Ruleset) -> dict[_Path, int]:
    """Return the effects that assets with levels have while not built."""
    found: dict[_Path, int] = {}
    for name, addresses in ruleset.addresses.items():
        section = SECTION_OF[ruleset.sheets[name].kind]
        if section in _LEVELED:
            for key, amounts in level_row(ruleset, addresses[0], 0, {}).items():
                if key != "level":
                    found |= {(section, name, f"{key}.{of}"): amounts[of] for of in amounts}
    return found


def _names(value: object) -> set[str]:
    """Return the names in a formula."""
    return set(_NAME.findall(value)) if isinstance(value, str) else set()


def _written(ruleset: Ruleset, other: Ruleset) -> dict[_Path, object]:
    """Return everything written in a file; an empty table only if the other has nothing in it."""
    found, others = (
        dict(_leaves(json.loads(each.archive)["rules"], ())) for each in (ruleset, other)
    )
    filled = {path[:length] for path in others for length in range(len(path))}
    return {path: value for path, value in found.items() if value != {} or path not in filled}


def _leaves(value: Any, path: _Path) -> Iterator[tuple[_Path, object]]:
    """Yield all values within by their path; an empty table is one."""
    if not isinstance(value, dict) or not value:
        yield path, value
        return
    for key, member in cast("dict[str, Any]", value).items():
        yield from _leaves(member, (*path, key))


def _canonical(value: object) -> str:
    """Return the text from which the version is computed: 1 and 1.0 differ."""
    return json.dumps(value, sort_keys=True)


def _changes(section: str, name: str, was: Any, now: Any) -> list[Change]:
    old, new = _flat(was), _flat(now)
    keys = list(old) + [key for key in new if key not in old]
    return [
        Change(section, name, key, level, old.get((level, key)), new.get((level, key)))
        for level, key in keys
        if old.get((level, key)) != new.get((level, key))
    ]


def _flat(value: Any) -> dict[tuple[int | None, str], object]:
    """Return all values within by level and dotted key."""
    if not isinstance(value, dict):
        return {(None, "value"): value}
    flat: dict[tuple[int | None, str], object] = {}
    members = cast("dict[str, Any]", value)
    for key, member in members.items():
        if key == "levels":
            rows = cast("list[dict[str, Any]]", member)
            for row in rows:
                inner = _flat({name: item for name, item in row.items() if name != "level"})
                flat.update({(row["level"], path): item for (_, path), item in inner.items()})
        elif isinstance(member, dict):
            inner = _flat(cast("dict[str, Any]", member))
            flat.update({(None, f"{key}.{path}"): item for (_, path), item in inner.items()})
        else:
            flat[None, key] = member
    return flat
