"""Token buckets: never more than promised, always as much as promised."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.buckets import Buckets

RATES = st.floats(0.01, 10_000)
BURSTS = st.integers(1, 50)
PAUSES = st.lists(st.floats(0, 10), max_size=80)
START_S = 1_000_000.0
"""Clocks do not start at 0, and floats are coarser at this value."""


@given(RATES, BURSTS, PAUSES)
def test_bucket_never_admits_more_than_burst_and_rate(
    rate: float, burst: int, pauses: list[float]
) -> None:
    """In any window of time at most the burst plus the rate's share passes."""
    buckets = Buckets(per_second=rate, burst=burst, keys_max=10)
    now, passed = START_S, list[float]()
    for pause in pauses:
        now += pause
        if not buckets.take("a", now):
            passed.append(now)
    for first, begin in enumerate(passed):
        for last in range(first, len(passed)):
            count, window = last - first + 1, passed[last] - begin
            assert count <= burst + rate * (window + 2e-6) + 1e-6


@given(RATES, BURSTS, PAUSES)
def test_bucket_is_full_again_after_a_rest(rate: float, burst: int, pauses: list[float]) -> None:
    """Whatever was asked before, after a rest exactly the whole burst passes."""
    buckets = Buckets(per_second=rate, burst=burst, keys_max=10)
    now = START_S
    for pause in pauses:
        now += pause
        buckets.take("a", now)
    now += burst / rate + 1e-6
    assert [buckets.take("a", now) for _ in range(burst)] == [0.0] * burst
    assert buckets.take("a", now) > 0


@given(RATES, BURSTS, PAUSES)
def test_wait_that_is_told_is_enough(rate: float, burst: int, pauses: list[float]) -> None:
    """A caller that waits as long as told is admitted; refusals do not extend the wait."""
    buckets = Buckets(per_second=rate, burst=burst, keys_max=10)
    now = START_S
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        assert 0 <= wait <= 1 / rate + 1e-6
        if wait:
            buckets.take("a", now)
            now += wait + 1e-6
            assert buckets.take("a", now) == 0


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), max_size=200))
def test_memory_is_bounded(steps: list[tuple[int, float]]) -> None:
    """However many keys come, no more than the maximum are remembered."""
    buckets = Buckets(per_second=1, burst=3, keys_max=8)
    now = START_S
    for key, pause in steps:
        now += pause
        buckets.take(str(key), now)
        assert len(buckets) <= 8


def test_keys_do_not_share_and_the_oldest_goes_first() -> None:
    """One key's flood affects no other, and a key that still floods is not forgotten."""
    buckets = Buckets(per_second=0.001, burst=1, keys_max=3)
    assert buckets.take("flood", START_S) == 0
    for number in range(20):
        assert buckets.take("flood", START_S) == pytest.approx(1_000)
        assert buckets.take(f"key {number}", START_S) == 0
    assert len(buckets) == 3


def test_full_buckets_are_not_kept() -> None:
    """A key that has rested leaves nothing behind once others come."""
    buckets = Buckets(per_second=1, burst=3, keys_max=1_000)
    for number in range(100):
        buckets.take(f"old {number}", START_S)
    for number in range(100):
        buckets.take(f"new {number}", START_S + 60)
    assert len(buckets) == 100


@pytest.mark.parametrize(("rate", "burst", "keys"), [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_bucket_without_a_size_is_refused(rate: float, burst: int, keys: int) -> None:
    """A bucket that could never hold anything is an error."""
    with pytest.raises(ValueError, match="needs"):
        Buckets(per_second=rate, burst=burst, keys_max=keys)
