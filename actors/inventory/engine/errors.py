"""The refusals of the engine beside those of its owner's commands.

::

    InventoryError
    ├── InvalidAmount              (an amount of no known shape or beyond its bounds)
    ├── NoRoom                     (room: resource -> whole units that would fit)
    └── RulesetMismatch            (removed: what is owned and the new ruleset does not have)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.errors import InventoryError

if TYPE_CHECKING:
    from collections.abc import Mapping


class InvalidAmount(InventoryError):
    """An amount is no strict integer, or out of bounds; the message says which."""


class NoRoom(InventoryError):
    """A credit does not fit; ``room`` gives the whole units that would, for each too large."""

    def __init__(self, room: Mapping[str, int]) -> None:
        super().__init__("no room beyond " + ", ".join(f"{n} {name}" for name, n in room.items()))
        self.room = dict(room)


class RulesetMismatch(InventoryError):
    """What this account owns or has ordered, and the new ruleset does not have."""

    def __init__(self, removed: tuple[str, ...]) -> None:
        super().__init__("the new ruleset has no place for " + ", ".join(removed))
        self.removed = removed
