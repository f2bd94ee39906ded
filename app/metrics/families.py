"""Converts what our parts count to metric families of the client library."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import Metric

    from app.histogram import Histogram


Labels: TypeAlias = str | tuple[str, ...]
KeyT = TypeVar("KeyT", bound=Labels)


def counter(name: str, meaning: str, value: float) -> Metric:
    """Make a counter; the exposition adds ``_total`` to its name."""
    return CounterMetricFamily(name, meaning, value=value)


def counters(name: str, meaning: str, labels: Labels, values: Mapping[KeyT, float]) -> Metric:
    """Make a counter with labels; ``values`` by the values of the labels."""
    family = CounterMetricFamily(name, meaning, labels=_each(labels))
    for key, value in values.items():
        family.add_metric(_each(key), value)
    return family


def gauge(name: str, meaning: str, value: float) -> Metric:
    """Make a gauge."""
    return GaugeMetricFamily(name, meaning, value=value)


def gauges(name: str, meaning: str, labels: Labels, values: Mapping[KeyT, float]) -> Metric:
    """Make a gauge with labels, like `counters`."""
    family = GaugeMetricFamily(name, meaning, labels=_each(labels))
    for key, value in values.items():
        family.add_metric(_each(key), value)
    return family


def histogram(name: str, meaning: str, filled: Histogram) -> Metric:
    """Make a histogram."""
    return HistogramMetricFamily(name, meaning, buckets=filled.buckets(), sum_value=filled.sum)


def histograms(name: str, meaning: str, labels: Labels, filled: Mapping[KeyT, Histogram]) -> Metric:
    """Make a histogram with labels, like `counters`."""
    family = HistogramMetricFamily(name, meaning, labels=_each(labels))
    for key, each in filled.items():
        family.add_metric(_each(key), each.buckets(), each.sum)
    return family


def _each(labels: Labels) -> tuple[str, ...]:
    return (labels,) if isinstance(labels, str) else labels
