"""The histogram counts as the client library's own does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference

from app.histogram import Histogram

BOUNDS = (0.5, 1, 2.5, 10)


@given(st.lists(st.one_of(st.sampled_from(BOUNDS), st.floats(0, 20))))
def test_histogram_agrees_with_the_client_librarys(values: list[float]) -> None:
    """Whatever is observed, on a bound or between two: same buckets, count and sum."""
    registry = CollectorRegistry()
    reference = Reference("x", "x", registry=registry, buckets=BOUNDS)
    histogram = Histogram(BOUNDS)
    for value in values:
        histogram.observe(value)
        reference.observe(value)
    [family] = registry.collect()
    buckets = [sample.value for sample in family.samples if sample.name == "x_bucket"]
    assert [count for _, count in histogram.buckets()] == buckets
    assert histogram.count == registry.get_sample_value("x_count") == len(values)
    assert histogram.sum == registry.get_sample_value("x_sum")


def test_histogram_names_its_bounds_as_they_were_given() -> None:
    """A bound is written without float noise, and the last bucket takes everything."""
    names = [name for name, _ in Histogram((0.0005, 0.25, 1.0, 512)).buckets()]
    assert names == ["0.0005", "0.25", "1", "512", "+Inf"]


def test_histograms_add_up() -> None:
    """The sum of histograms contains the counts of each; differing bounds are refused."""
    one, two = Histogram([1, 2]), Histogram([1, 2])
    one.observe(0.5)
    two.observe(1.5)
    two.observe(3)
    total = Histogram.total([1, 2], [one, two])
    assert (list(total.counts), total.sum, total.count) == ([1, 1, 1], 5, 3)
    assert Histogram.total([1, 2], []).count == 0
    with pytest.raises(ValueError, match="bounds"):
        Histogram.total([1, 3], [one])
