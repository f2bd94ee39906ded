"""A cache of what was derived from immutable things: orders, encoded for an answer.

An account that is read again mostly has the same orders as before, and encoding them costs more
than the rest of the answer.
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
"""How many things are cached: an encoded order takes half a kilobyte, and up to one and a quarter
together with the order, if its account is not in memory any more."""


class _Made(msgspec.Struct, Generic[S, M], frozen=True, gc=False):
    """The things of one name, and what was made of each, in the same order."""

    sources: tuple[S, ...]
    made: Sequence[M]


class Memo(Generic[S, M]):
    """Caches what was made of each thing under a name, such as an account's orders.

    Beyond the maximum the least recently used names are evicted, a few at a time: evicting
    everything at once would stop the server for milliseconds.
    """

    __slots__ = ("_items", "_items_max", "_known")

    def __init__(self, items_max: int = ITEMS_MAX) -> None:
        self._items = 0
        self._items_max = items_max
        self._known: OrderedDict[str, _Made[S, M]] = OrderedDict()

    def made_of(self, name: str, sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
        """Return what ``make`` makes of each source, reusing the cached results.

        Neither the sources nor the results may be mutated.
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
        """Return how many things are cached."""
        return self._items


def _made_anew(known: _Made[S, M], sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
    """Make what is not cached yet: mostly what was appended."""
    count = len(known.sources)
    if sources[:count] == known.sources:
        return [*known.made, *map(make, sources[count:])]
    # The cached sources are alive, so no other object can have their ids.
    before = dict(zip(map(id, known.sources), known.made, strict=True))
    return [
        make(source) if (made := before.get(id(source))) is None else made for source in sources
    ]
