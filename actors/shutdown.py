"""The message that ends the program, and the order in which its parts obey it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """The phases of a shutdown, in order; a part stops at its phase, or a later one."""

    EDGE = 1
    """HTTP stops accepting; requests in flight are finished."""

    WORLD = 2
    """The clock stops; inventories finish the messages in their mailboxes."""

    STORAGE = 3
    """Storage commits what was handed to it; Authx ends."""

    DATABASE = 4
    """The embedded database, if there is one, is stopped."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Published on topic ``shutdown``, once for each phase."""

    phase: Phase
    reason: str
