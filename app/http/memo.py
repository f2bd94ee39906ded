"""What was made of things that never change, so that it is made once: orders as they are shown.

An account that is read again shows mostly the orders that it showed before, and making them costs
more than the rest of the answer.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
M = TypeVar("M")

ITEMS_MAX: Final = 32_768
"""How many things are remembered: an order takes half a kilobyte as it is shown, and up to one and
a quarter with itself, where its account is not in memory any more."""


class _Made(msgspec.Struct, Generic[S, M], frozen=True, gc=False):
    """What was made of the things of one name, in the same places."""

    sources: tuple[S, ...]
    made: Sequence[M]


class Memo(Generic[S, M]):
    """Remembers what was made of each of the things that go by a name, as an account's orders.

    Where they are too many in all, the names are forgotten that were asked for longest ago: few
    at a time, for to forget everything at once would stop the server for milliseconds.
    """

    __slots__ = ("_items", "_items_max", "_known")

    def __init__(self, items_max: int = ITEMS_MAX) -> None:
        self._items = 0
        self._items_max = items_max
        self._known: OrderedDict[str, _Made[S, M]] = OrderedDict()

    def made_of(self, name: str, sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
        """Give what ``make`` makes of each source; of those that were there before, the same.

        Sources must not change, and nobody may change what this gives.
        """
        known = self._known.get(name)
        if known is None:
            if not sources:
                return ()
            made: Sequence[M] = [make(source) for source in sources]
        elif known.sources is sources:
            self._known.move_to_end(name)
            return known.made
        else:
            made = _made_anew(known, sources, make)
            self._forget(name)
        self._remember(name, _Made(sources, made))
        return made

    def _forget(self, name: str) -> None:
        self._items -= len(self._known.pop(name).sources)

    def _remember(self, name: str, made: _Made[S, M]) -> None:
        if made.sources:
            self._known[name] = made
            self._items += len(made.sources)
        while self._items > self._items_max:
            self._forget(next(iter(self._known)))

    def __len__(self) -> int:
        """Tell how many things are remembered."""
        return self._items


def _made_anew(known: _Made[S, M], sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
    """Make what is not known yet: mostly what was added at the end."""
    count = len(known.sources)
    if sources[:count] == known.sources:
        return [*known.made, *map(make, sources[count:])]
    # They are alive, so that no other has the identity of one of them.
    before = dict(zip(map(id, known.sources), known.made, strict=True))
    return [
        make(source) if (made := before.get(id(source))) is None else made for source in sources
    ]
