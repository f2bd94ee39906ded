"""Compares an answer with the one that a page shows: ids, times and growing values may differ.

A page may leave things out: ``…`` in a text stands for any characters, as a member name for any
further members, and in a list for any elements in its place.
"""

from __future__ import annotations

import re
from typing import Any, cast

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
GROWING = frozenset({"amount", "balance", "delta", "seq", "version", "next"})
"""Members that depend on how quickly one types."""

ANY_NUMBER = frozenset({"tick"})
GROWS_MAX = 60
"""How far growing values may differ: half a minute of all that a beginner produces."""

GAP = "…"


class Likeness:
    """One reading of a page: an id shown twice must be the same both times."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def differences(self, shown: Any, actual: Any, where: str = "answer") -> list[str]:
        """Return where an answer differs from the one shown; empty if nowhere."""
        match shown:
            case dict():
                return self._of_object(cast("dict[str, Any]", shown), actual, where)
            case list():
                return self._of_list(cast("list[Any]", shown), actual, where)
            case str():
                alike = isinstance(actual, str) and self._alike(shown, actual)
            case bool() | None:
                alike = shown is actual
            case _:
                alike = _near(shown, actual, where)
        return [] if alike else [f"{where}: the page has {shown!r}, the server {actual!r}"]

    def _of_object(self, shown: dict[str, Any], actual: Any, where: str) -> list[str]:
        if not isinstance(actual, dict):
            return [f"{where}: the page has an object, the server {actual!r}"]
        members = cast("dict[str, Any]", actual)
        wanted = {name: value for name, value in shown.items() if name != GAP}
        unknown = [] if GAP in shown else sorted(members.keys() - wanted.keys())
        found = [f"{where}.{name}: the page does not show it" for name in unknown]
        for name, value in wanted.items():
            if name in members:
                found += self.differences(value, members[name], f"{where}.{name}")
            else:
                found.append(f"{where}.{name}: the server does not give it")
        return found

    def _of_list(self, shown: list[Any], actual: Any, where: str) -> list[str]:
        if not isinstance(actual, list):
            return [f"{where}: the page has a list, the server {actual!r}"]
        elements = cast("list[Any]", actual)
        place = 0
        gap = False
        for number, value in enumerate(shown):
            if value == GAP:
                gap = True
                continue
            found: list[str] = [f"{where}[{number}]: the server does not give it"]
            for at in range(place, len(elements) if gap else min(place + 1, len(elements))):
                kept = dict(self._ids)
                found = self.differences(value, elements[at], f"{where}[{number}]")
                if not found:
                    place, gap = at + 1, False
                    break
                self._ids = kept
            if found:
                return found
        left = [] if gap else elements[place:]
        return [f"{where}: the page does not show {each!r}" for each in left]

    def _alike(self, shown: str, actual: str) -> bool:
        if UUID.fullmatch(shown):
            return bool(UUID.fullmatch(actual)) and self._ids.setdefault(shown, actual) == actual
        if TIME.fullmatch(shown):
            return bool(TIME.fullmatch(actual))
        pattern = ".*".join(re.escape(part) for part in shown.split(GAP))
        return bool(re.fullmatch(pattern, actual, re.DOTALL))


def _near(shown: Any, actual: Any, where: str) -> bool:
    if type(shown) is not type(actual):
        return False
    name = where.rpartition(".")[2]
    if name in ANY_NUMBER:
        return True
    if name in GROWING or ".missing." in where:
        return abs(shown - actual) <= GROWS_MAX
    return bool(shown == actual)
