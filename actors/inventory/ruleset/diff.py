"""What changed between two rulesets: names that came and went, and values that differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from actors.inventory.ruleset.description import describe

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Entry:
    """A name that one of the two rulesets has: ``section`` is its table, such as ``units``."""

    section: str
    name: str


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; ``level`` where it is that of a level; None: not there."""

    section: str
    name: str
    key: str
    level: int | None
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Difference:
    """What makes ``new`` out of ``old``, in the order of their tables."""

    added: tuple[Entry, ...]
    removed: tuple[Entry, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        """Return whether there is any difference."""
        return bool(self.added or self.removed or self.changed)


def difference(old: Ruleset, new: Ruleset) -> Difference:
    """Return what differs in all that the two rulesets tell of themselves."""
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
    return Difference(tuple(added), tuple(removed), tuple(changed))


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
