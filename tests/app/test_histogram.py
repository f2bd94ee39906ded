"""The histogram counts as the client library's own does."""

from __future__ import annotations

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
    """A bound is written without noise, and the last bucket takes everything."""
    names = [name for name, _ in Histogram((0.0005, 0.25, 1.0, 512)).buckets()]
    assert names == ["0.0005", "0.25", "1", "512", "+Inf"]
