"""What the figures of a sample promise."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulation.report import plain, write_csv
from app.simulation.samples import Sample, figure


def test_figure_has_mean_and_percentiles_by_nearest_rank() -> None:
    """Of ten accounts the first is the 10th percentile, the ninth the 90th."""
    found = figure("stock", "wood", [10, 9, 8, 7, 6, 5, 4, 3, 2, 1])
    assert (found.mean, found.p10, found.p90) == (Decimal("5.50"), 1, 9)


@given(st.lists(st.integers(0, 10**40), min_size=1, max_size=50))
def test_figure_percentiles_are_values_that_somebody_has(values: list[int]) -> None:
    """They lie in order among the values, and the mean between the extremes."""
    found = figure("stock", "wood", values)
    assert found.p10 in values
    assert found.p90 in values
    assert min(values) <= found.p10 <= found.p90 <= max(values)
    assert min(values) <= found.mean <= max(values)


def test_figure_averages_over_instances() -> None:
    """A building of four instances counts by its average level."""
    found = figure("level", "woodcutter", [4, 6], share=4)
    assert (found.mean, found.p10, found.p90) == (Decimal("1.25"), Decimal(1), Decimal("1.5"))


@pytest.mark.parametrize(
    ("number", "text"),
    [("5.50", "5.5"), ("100", "100"), ("1.00", "1"), ("1E+3", "1000"), ("0.00", "0")],
)
def test_csv_numbers_are_plain(number: str, text: str) -> None:
    """No exponent, no trailing zeros, none lost before the point."""
    assert plain(Decimal(number)) == text


def test_csv_has_a_line_for_each_figure() -> None:
    """The moment is in hours since the world began."""
    sample = Sample(5_400_000, (figure("stock", "wood", [1, 2]),))
    file = io.StringIO(newline="")
    write_csv([sample], file)
    assert file.getvalue() == "hour,kind,name,mean,p10,p90\n1.5,stock,wood,1.5,1,2\n"
