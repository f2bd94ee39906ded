"""Traces of requests through the program: off, and costing nothing, unless configured.

The OpenTelemetry code is in `app.otel`, imported only if tracing is configured: its packages are
an extra.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import trio

from actors.tracing import NO_TRACER
from app.config import ConfigError
from app.extras import OTEL, way_to
from app.http.instruments import NoRequestTracer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.tracing import Tracer
    from app.config import Tracing as TracingSettings
    from app.http.instruments import RequestTracer
    from bus import Observer

FLUSH_S = 0.3
"""How long sending the last spans may take when the server stops."""


class Tracing(Protocol):
    """The three places at which a request can be followed."""

    @property
    def requests(self) -> RequestTracer:
        """For the HTTP front."""
        ...

    @property
    def actors(self) -> Tracer:
        """For the actors."""
        ...

    def bus(self, observer: Observer | None) -> Observer | None:
        """Return the bus observer, with ``observer`` inside it."""
        ...


class Untraced:
    """A `Tracing` that traces nothing."""

    def __init__(self) -> None:
        self.requests: RequestTracer = NoRequestTracer()
        self.actors: Tracer = NO_TRACER

    def bus(self, observer: Observer | None) -> Observer | None:
        """Leave the observer as it is."""
        return observer


@asynccontextmanager
async def open_tracing(settings: TracingSettings) -> AsyncGenerator[Tracing]:
    """Trace as configured until the end, then send remaining spans for at most `FLUSH_S`.

    Raises:
        ConfigError: traces are configured, but their packages are not installed.
    """
    if not settings.endpoint:
        yield Untraced()
        return
    try:
        from app.otel import OpenTelemetry, open_provider  # noqa: PLC0415 - see the module
    except ImportError:
        problem = f"traces need more packages: {way_to(OTEL)}"
        raise ConfigError("the configuration", "tracing.endpoint", problem) from None
    provider = open_provider(settings.endpoint, settings.sample_every)
    try:
        yield OpenTelemetry(provider)
    finally:
        # In a thread that is abandoned at the deadline: the trace collector may be down.
        with trio.move_on_after(FLUSH_S, shield=True):
            await trio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)
