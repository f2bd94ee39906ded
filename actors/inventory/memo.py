"""A cache of what was derived from immutable things: an account's orders, encoded for an answer.

An account that is read again mostly has the same orders as before, and encoding them costs more
than the rest of the answer. The cache leaves memory with its account: one bound on all accounts
together would make every read a miss as soon as they have more orders than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S")
M = TypeVar("M")


class Memo(Generic[S, M]):
    """Caches what was made of each of the things that were last asked for."""

    __slots__ = ("_made", "_sources")

    def __init__(self) -> None:
        self._sources: tuple[S, ...] = ()
        self._made: Sequence[M] = ()

    def made_of(self, sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
        """Return what ``make`` makes of each source, reusing the cached results.

        Neither the sources nor the results may be mutated; ``make`` is always the same.
        """
        if sources is not self._sources:
            self._made = self._made_anew(sources, make)
            self._sources = sources
        return self._made

    def _made_anew(self, sources: tuple[S, ...], make: Callable[[S], M]) -> Sequence[M]:
        """Make what is not cached yet: mostly what was appended."""
        count = len(self._sources)
        if sources[:count] == self._sources:
            return [*self._made, *map(make, sources[count:])]
        # The cached sources are alive, so no other object can have their ids.
        before = dict(zip(map(id, self._sources), self._made, strict=True))
        return [
            make(source) if (made := before.get(id(source))) is None else made for source in sources
        ]
