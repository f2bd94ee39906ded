"""Snapshots of what the bus has done and holds; immutable, like Trio's own statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bus.topics import Topic


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """Counts for one topic since the bus was opened."""

    sent: int
    delivered: int
    refused: int
    unclaimed: int
    unheard: int


@dataclass(frozen=True, slots=True)
class ReplyStatistics:
    """Outcomes of questions since the bus was opened; ``late`` answers were dropped."""

    answered: int
    failed: int
    stopped: int
    timed_out: int
    late: int


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """The bus as a whole."""

    open_send_handles: int
    subscriptions: int
    topics: Mapping[Topic, TopicStatistics]
    replies: ReplyStatistics


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """One subscription's buffer; ``in_hand`` messages are received but not yet answered."""

    current_buffer_used: int
    max_buffer_size: int
    peak_buffer_used: int
    in_hand: int
