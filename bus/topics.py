"""Topics, and how each behaves when a subscription has no room."""

from __future__ import annotations

from enum import Enum
from typing import assert_never


class Delivery(Enum):
    """How a subscription's buffer accepts a message of a topic."""

    URGENT = "urgent"
    """Never dropped, overtakes everything; a repeated one replaces the one still waiting."""

    QUEUED = "queued"
    """In order, bounded; a full buffer refuses the message to its sender."""

    LATEST = "latest"
    """Only the newest message of each topic waits; it replaces an older one not taken yet."""


class Topic(Enum):
    """The topics of the broadcast channel."""

    SHUTDOWN = "shutdown"
    AUTH = "auth"
    TASK = "task"
    TICK = "tick"
    EVENT = "event"

    # Members are equal only if identical, and object's hash is several times as fast as Enum's.
    __hash__ = object.__hash__

    @property
    def delivery(self) -> Delivery:
        """The buffer policy of this topic."""
        match self:
            case Topic.SHUTDOWN:
                return Delivery.URGENT
            case Topic.TICK | Topic.EVENT:
                return Delivery.LATEST
            case Topic.AUTH | Topic.TASK:
                return Delivery.QUEUED
            case _ as unreachable:
                assert_never(unreachable)
