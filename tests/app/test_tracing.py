"""Tracing is off unless an endpoint is configured, and its packages are loaded only then."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import trio

from actors.tracing import NO_TRACER
from app import otel, tracing
from app.config import ConfigError, Tracing
from app.http.instruments import NoRequestTracer
from app.http.trail import Trail
from app.metrics.meters import BusMeter
from app.tracing import open_tracing

ENDPOINT = "http://127.0.0.1:9/v1/traces"


async def test_tracing_without_an_endpoint_is_nothing() -> None:
    """The bus keeps its own observer, or none, and nothing else is traced."""
    async with open_tracing(Tracing()) as off:
        meter = BusMeter()
        assert off.bus(meter) is meter
        assert off.bus(None) is None
        assert off.actors is NO_TRACER
        assert isinstance(off.requests, NoRequestTracer)
        with off.requests.request([], Trail()), off.actors.work("x", (), units=1):
            pass


def test_tracing_that_is_off_loads_none_of_its_packages() -> None:
    """The whole server can be imported without importing OpenTelemetry."""
    code = "import app.root, sys; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == 0


async def test_tracing_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line names the key and the packages, instead of a traceback about a module."""
    monkeypatch.setitem(sys.modules, "app.otel", None)
    with pytest.raises(ConfigError, match=r"tracing\.endpoint: .*pip install 'opentelemetry-"):
        async with open_tracing(Tracing(endpoint=ENDPOINT)):
            raise AssertionError


async def test_tracing_that_cannot_send_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that does not answer does not delay the shutdown."""
    let_go = trio.Event()
    token = trio.lowlevel.current_trio_token()

    class Stuck:
        """A provider whose last spans cannot be sent."""

        def get_tracer(self, *_: object) -> Any:
            return None

        def shutdown(self) -> None:
            trio.from_thread.run(let_go.wait, trio_token=token)

    _provide(monkeypatch, Stuck())
    monkeypatch.setattr(tracing, "FLUSH_S", 0.01)
    with trio.fail_after(5):
        async with open_tracing(Tracing(endpoint=ENDPOINT)):
            pass
    let_go.set()


async def test_tracing_sends_what_is_left_also_when_it_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last spans are those of what went wrong."""
    flushed: list[bool] = []

    class Provider:
        """A provider that records its end."""

        def get_tracer(self, *_: object) -> Any:
            return None

        def shutdown(self) -> None:
            flushed.append(True)

    _provide(monkeypatch, Provider())
    with trio.CancelScope() as scope:
        async with open_tracing(Tracing(endpoint=ENDPOINT)):
            scope.cancel()
            await trio.sleep_forever()
    assert flushed == [True]


def _provide(monkeypatch: pytest.MonkeyPatch, provider: object) -> None:
    """Replace the provider that sends spans with this one."""

    def provide(_endpoint: str, _sample_every: int) -> object:
        return provider

    monkeypatch.setattr(otel, "open_provider", provide)
