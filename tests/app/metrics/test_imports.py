"""Metrics and tracing stay in their place: no other package knows the libraries."""

from __future__ import annotations

import pytest

from tests.sources import modules


@pytest.mark.parametrize(
    ("library", "home"), [("prometheus_client", "app.metrics"), ("opentelemetry", "app.otel")]
)
def test_library_is_imported_in_one_place(library: str, home: str) -> None:
    """Actors report to a protocol of their own; whatever measures them can be replaced."""
    importers = [module for module in modules() if module.imports_of({library})]
    assert importers
    assert [module.name for module in importers if not module.within(home)] == []


def test_registry_of_the_whole_process_is_not_used() -> None:
    """Each program has its own registry, so that two can run side by side."""
    names = {name for module in modules() for name in module.imports}
    assert "prometheus_client.REGISTRY" not in names
    assert "prometheus_client.registry.REGISTRY" not in names
    for forbidden in ("Counter", "Gauge", "Histogram", "Summary"):
        assert f"prometheus_client.{forbidden}" not in names
