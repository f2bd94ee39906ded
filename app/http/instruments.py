"""Observability of the HTTP front; each part is off unless the composition root supplies it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from random import random
from typing import TYPE_CHECKING, Protocol

from app.http.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from structlog.typing import FilteringBoundLogger

    from app.http.exchange import Headers, HttpResponse
    from app.http.trail import Trail

    RawHeaders = Iterable[tuple[bytes, bytes]]


class AccessLog(Enum):
    """Which requests are logged."""

    OFF = "off"
    ERRORS = "errors"
    ALL = "all"

    def wants(self, status: int) -> bool:
        """Whether a request answered with this status is logged; 0 means without an answer.

        Errors are the server's failures, but not its refusals under overload (503): a line for
        each would add to the load.
        """
        if self is AccessLog.ERRORS:
            return status >= 500 and status != 503  # noqa: PLR2004 - statuses are their own names
        return self is AccessLog.ALL


class RequestTracer(Protocol):
    """Traces requests from here through the program."""

    def request(self, headers: RawHeaders, trail: Trail) -> AbstractContextManager[object]:
        """Surround a request; ``headers`` may name the trace that it belongs to."""
        ...


class MetricsPage(Protocol):
    """Answers ``GET /metrics``."""

    async def respond(self, client: str, headers: Headers) -> HttpResponse:
        """Return the metrics for a client.

        Raises:
            NotFound: this client may not read them.
        """
        ...


class NoRequestTracer:
    """Traces no request."""

    def request(
        self,
        headers: RawHeaders,  # noqa: ARG002 - as one that does
        trail: Trail,  # noqa: ARG002
    ) -> AbstractContextManager[object]:
        """Surround a request with nothing."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class Instruments:
    """All instruments of one HTTP front.

    Of the requests that `AccessLog.ALL` adds to the errors, one in ``access_sample_every`` is
    logged.
    """

    traffic: Traffic = field(default_factory=Traffic)
    access_log: AccessLog = AccessLog.OFF
    access_sample_every: int = 1
    tracer: RequestTracer = field(default_factory=NoRequestTracer)
    metrics: MetricsPage | None = None

    def log_request(self, log: FilteringBoundLogger, trail: Trail) -> None:
        """Log a finished request, if it is one of those to be logged."""
        if self.access_log.wants(trail.status) and self._in_sample(trail.status):
            log.info(
                "http_request",
                method=trail.method,
                path=trail.path,
                route=trail.route,
                status=trail.status or None,
                duration_ms=round(trail.seconds * 1000, 3),
                client=trail.client,
            )

    def _in_sample(self, status: int) -> bool:
        every = self.access_sample_every
        # At random: every n-th could always pick the same one of a client's repeating sequence.
        return every == 1 or AccessLog.ERRORS.wants(status) or random() * every < 1  # noqa: S311
