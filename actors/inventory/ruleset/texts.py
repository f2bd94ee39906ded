"""The rules for a file's texts, which are shown to people and pass through terminals."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final, cast

from actors.inventory.ruleset.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TITLE: Final = "title"
_LINES: Final = frozenset("\n\t")


def text_problems(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each text with control characters; all but titles may have line ends."""
    # Not recursive: unchecked data may nest deeply.
    left: list[tuple[str, Any]] = [("", data)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value).items()
            inner = [(f"{where}.{key}" if where else key, member) for key, member in members]
            left += reversed(inner)
        elif isinstance(value, list):
            places = enumerate(cast("Iterable[Any]", value))
            left += reversed([(f"{where}[{place}]", member) for place, member in places])
        elif isinstance(value, str):
            yield from _controls(where, value)


def _controls(where: str, text: str) -> Iterator[Problem]:
    allowed = frozenset[str]() if where.rpartition(".")[2] == _TITLE else _LINES
    for each in text:
        if unicodedata.category(each) == "Cc" and each not in allowed:
            yield Problem(where, f"has the control character U+{ord(each):04X}")
            return
