"""The rules that a world has run under, in order, and what each renamed; pure.

The same rules may come into force again: a version alone does not identify an era, only a version
and a moment do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.storage import Row


@dataclass(frozen=True, slots=True)
class Era:
    """When a set of rules came into force, and what it renamed."""

    version: str
    from_ms: int
    renamed: Mapping[str, str]

    @classmethod
    def of(cls, row: Row) -> Era:
        """Return the era of a row of the history."""
        renamed = msgspec.json.decode(row["renamed"], type=dict[str, str])
        return cls(row["version"], row["from_ms"], renamed)

    def goods(self, carried: Mapping[str, int]) -> dict[str, int]:
        """Rename the previous era's resources to this one's names; merged ones are added up."""
        merged: dict[str, int] = {}
        for old, units in carried.items():
            name = self.renamed.get(old, old)
            merged[name] = merged.get(name, 0) + units
        return merged


def eras_after(eras: Sequence[Era], version: str, at_ms: int) -> Sequence[Era]:
    """Return the eras that began after the one of this version that was in force then."""
    own = -1
    for index in range(len(eras) - 1, -1, -1):
        if eras[index].version == version:
            own = index
            if eras[index].from_ms <= at_ms:
                break
    # If none had begun by then, it stood still before its own era was entered: the first.
    return eras[own + 1 :]
