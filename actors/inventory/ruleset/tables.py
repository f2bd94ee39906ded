"""Tables: the compiled form of every formula, complete before any player acts.

Values that are rounded only after multiplication (production by a balance's factor, durations by
modifiers) stay exact, as a `Ratio`; all others are whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

Ratio: TypeAlias = tuple[int, int]
"""An exact rational: numerator and positive denominator."""

T_co = TypeVar("T_co", covariant=True)


def highest(addresses: tuple[str, ...], levels: Mapping[str, int]) -> int:
    """Return the highest level among the instances of a building; 0 if none is built."""
    if len(addresses) == 1:
        return levels.get(addresses[0], 0)
    return max([levels.get(address, 0) for address in addresses])


@dataclass(frozen=True, slots=True)
class Axis:
    """Another asset whose level a table also depends on: steps of ``stride`` up to ``last``."""

    addresses: tuple[str, ...]
    last: int
    stride: int


@dataclass(frozen=True, slots=True)
class Table(Generic[T_co]):
    """Values by own level, and by the levels of the assets on ``axes``.

    A level beyond the table reads as the last: an account may own more than a changed ruleset
    would sell it.
    """

    values: tuple[T_co, ...]
    last: int
    axes: tuple[Axis, ...] = ()

    def at(self, level: int, levels: Mapping[str, int]) -> T_co:
        """Return the value at ``level``, with other assets at ``levels``."""
        index = min(level, self.last)
        for axis in self.axes:
            index += axis.stride * min(highest(axis.addresses, levels), axis.last)
        return self.values[index]
