"""When to retry, and after how long; nothing is sent or awaited here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Final

from holdfast_client.errors import NoAnswer, Problem, UnexpectedAnswer

if TYPE_CHECKING:
    import random

    from holdfast_client.errors import HoldfastError

NOTHING_DONE: Final = frozenset({"overloaded", "request-timeout", "too-many-requests"})
"""Problems after which the server has certainly not acted."""

PASSING: Final = frozenset(
    {"unavailable", "actor-stopped", "reply-timeout", "conflict", "too-many-streams"}
)
"""Transient problems, after which the server may have acted."""

GATEWAY: Final = frozenset({429, 502, 503, 504})
"""The statuses of a proxy that has no server behind it, or is overloaded."""


class Repeat(Enum):
    """What happens when a request is sent twice."""

    SAFE = "safe"
    """Nothing: it only reads."""

    KEYED = "keyed"
    """It takes effect once: the server recognizes it by its idempotency key."""

    ONCE = "once"
    """It may take effect twice, so it is sent again only if it certainly had no effect."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try, and how long to wait in between.

    Waits are drawn uniformly from 0 to a bound that doubles (*full jitter*: M. Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), in addition to any wait that the
    server asks for. ``attempts_max`` includes the first attempt; 1 never retries.
    """

    attempts_max: int = 6
    backoff_s: float = 0.1
    backoff_max_s: float = 5.0

    def wait_s(self, attempt: int, failure: HoldfastError | None, rng: random.Random) -> float:
        """Return the wait in seconds after ``attempt`` (counted from 1) has failed."""
        bound = min(self.backoff_max_s, self.backoff_s * 2 ** (min(attempt, 32) - 1))
        asked_for = None
        if isinstance(failure, Problem | UnexpectedAnswer):
            asked_for = failure.retry_after_s
        return (asked_for or 0.0) + rng.uniform(0.0, bound)


def may_repeat(failure: HoldfastError, repeat: Repeat) -> bool:
    """Return whether a request may be sent again after this failure."""
    harmless = repeat is not Repeat.ONCE
    match failure:
        case NoAnswer():
            return harmless or not failure.sent
        case Problem():
            if failure.slug in NOTHING_DONE:
                return True
            return harmless and failure.slug in PASSING
        case UnexpectedAnswer():
            return harmless and failure.status in GATEWAY
        case _:
            return False


def retry_after_s(header: str | None, *, now: datetime | None = None) -> float | None:
    """Parse a ``Retry-After`` (RFC 9110, 10.2.3), seconds or a date; None if absent or invalid."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())
