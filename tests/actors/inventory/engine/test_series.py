"""Series: sums of rounded proportions, in closed form."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.engine.series import Part, Run, Series, floor_sum
from actors.inventory.engine.state import Stream


@given(st.integers(0, 60), st.integers(1, 200), st.integers(0, 900), st.integers(0, 900))
def test_floor_sum_equals_the_sum(count: int, low: int, top: int, start: int) -> None:
    """The closed form equals the sum it stands for."""
    assert floor_sum(count, low, top, start) == sum((top * i + start) // low for i in range(count))


def test_floor_sum_takes_the_largest_numbers() -> None:
    """Numbers far beyond 64 bits cost no more than small ones."""
    count, low = 10**18, 10**15 + 37
    total = floor_sum(count, low, low + 1, 0)
    assert total == count * (count - 1) // 2 + floor_sum(count, low, 1, 0)


@given(
    st.integers(0, 40),
    st.integers(1, 9),
    st.lists(
        st.tuples(st.sampled_from([1, -1]), st.integers(0, 700), st.integers(1, 300)), max_size=3
    ),
    st.integers(0, 120),
    st.integers(-50, 50),
)
def test_run_gains_what_its_rates_bring(
    owned: int, piece_ms: int, parts: list[tuple[int, int, int]], elapsed: int, base: int
) -> None:
    """The gain of a run is the sum of its rates, millisecond by millisecond."""
    series = Series(3, piece_ms, owned, tuple(Part("gas", *part) for part in parts))
    run = Run((series, series._replace(first_ms=11, parts=(Part("metal", 1, 1, 1),))))
    stream = Stream("gas", base, 0)
    rates = [base + sum(series.rates("gas", at_ms)) for at_ms in range(elapsed)]
    assert run.gain(stream, 0, elapsed) == sum(rates)
    low, high = run.bounds(stream, elapsed)
    assert all(low <= rate <= high for rate in rates)
