"""What was made of things that never change, so that it is made once: orders as they are shown.

An account that is read again shows mostly the orders that it showed before, and making them costs
more than the rest of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
M = TypeVar("M")

ITEMS_MAX: Final = 32_768
"""How many are remembered (a kilobyte each, or less); before one more, all are forgotten."""


class _Made(msgspec.Struct, Generic[S, M], frozen=True, gc=False):
    """One thing that was made, and of what; a tuple would be looked through for garbage."""

    source: S
    made: M


class Memo(Generic[S, M]):
    """Remembers what was made of each source, by a name and by the source's identity."""

    __slots__ = ("_items_max", "_known")

    def __init__(self, items_max: int = ITEMS_MAX) -> None:
        self._items_max = items_max
        self._known: dict[str, _Made[S, M]] = {}

    def made_of(self, name: str, source: S, make: Callable[[S], M]) -> M:
        """Give what ``make`` makes of a source, which must not change; as before for the same."""
        known = self._known.get(name)
        if known is not None and known.source is source:
            return known.made
        made = make(source)
        if len(self._known) >= self._items_max:
            self._known.clear()
        self._known[name] = _Made(source, made)
        return made

    def __len__(self) -> int:
        """Tell how many are remembered."""
        return len(self._known)
