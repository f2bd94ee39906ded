"""What retries promise: only harmless requests are sent again, after a fair wait."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client import CannotConnect, DeadlineExceeded, HoldfastError, NoAnswer, Problem
from holdfast_client.errors import UnexpectedAnswer
from holdfast_client.retry import Repeat, RetryPolicy, may_repeat, retry_after_s

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def refusal(status: int, slug: str, retry_after_s: float | None = None) -> Problem:
    """Make a refusal."""
    return Problem(slug, status=status, retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("failure", "harmless", "once"),
    [
        (CannotConnect("no"), True, True),
        (refusal(503, "overloaded"), True, True),
        (refusal(429, "too-many-requests"), True, True),
        (refusal(408, "request-timeout"), True, True),
        (DeadlineExceeded("no"), True, False),
        (NoAnswer("cut off", sent=True), True, False),
        (refusal(503, "unavailable"), True, False),
        (refusal(503, "actor-stopped"), True, False),
        (refusal(504, "reply-timeout"), True, False),
        (refusal(409, "conflict"), True, False),
        (refusal(429, "too-many-streams"), True, False),
        (refusal(429, "too-many-attempts"), False, False),
        (UnexpectedAnswer("proxy", status=502), True, False),
        (UnexpectedAnswer("proxy", status=429), True, False),
        (UnexpectedAnswer("nonsense", status=200), False, False),
        (refusal(500, "internal-error"), False, False),
        (refusal(409, "insufficient-resources"), False, False),
        (refusal(401, "invalid-token"), False, False),
        (refusal(503, "ruleset-mismatch"), False, False),
        (HoldfastError("something"), False, False),
    ],
)
def test_retry_sends_again_only_what_is_harmless(
    failure: HoldfastError, harmless: bool, once: bool
) -> None:
    """Reads and keyed commands are retried after transient failures; others if nothing was done."""
    assert may_repeat(failure, Repeat.SAFE) is harmless
    assert may_repeat(failure, Repeat.KEYED) is harmless
    assert may_repeat(failure, Repeat.ONCE) is once


@given(attempt=st.integers(1, 10_000), seed=st.integers(), asked=st.none() | st.floats(0, 60))
def test_retry_waits_between_what_is_asked_and_the_bound(
    attempt: int, seed: int, asked: float | None
) -> None:
    """However often a call failed, the wait is bounded and at least what the server asks."""
    policy = RetryPolicy(backoff_s=0.1, backoff_max_s=5)
    wait = policy.wait_s(attempt, refusal(503, "overloaded", asked), random.Random(seed))
    assert (asked or 0) <= wait <= (asked or 0) + min(5, 0.1 * 2 ** min(attempt - 1, 10))


def test_retry_waits_differ() -> None:
    """Clients that failed together do not retry together."""
    policy = RetryPolicy()
    waits = {policy.wait_s(3, CannotConnect("no"), random.Random(seed)) for seed in range(100)}
    assert len(waits) == 100


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("3", 3.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 99999999999999999999 12:00:30 GMT", None),
        ("-1", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    """Seconds and dates are understood; nonsense means no wait."""
    assert retry_after_s(header, now=NOW) == seconds
