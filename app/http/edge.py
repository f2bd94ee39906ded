"""What every request passes, in either lane: its id, limits, route, metrics and log."""

from __future__ import annotations

import re
from os import urandom
from typing import TYPE_CHECKING

import trio

from app.http.cancellation import split_failure
from app.http.errors import HttpError
from app.http.gate import Gate
from app.http.instruments import Instruments, NoRequestTracer
from app.http.pipeline import Pipeline
from app.http.policy import Policy
from app.http.problems import problem_of
from app.http.routes import make_router
from app.logs import HANDLED, handling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from app.gateway import Gateway
    from app.http.endpoint import Endpoint
    from app.http.exchange import Headers, HttpRequest, HttpResponse
    from app.http.routes import Route, Router
    from app.http.settings import HttpSettings
    from app.http.trail import Trail
    from app.pages import File

REQUEST_ID = b"x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """Make an id for a request without a usable one; it is a name, not a secret."""
    return urandom(8).hex()


def request_id_of(headers: Headers) -> str:
    """Return the client's own request id if it is fit for a log, otherwise a new one."""
    for value in headers.all(REQUEST_ID):
        if _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return new_request_id()


class Edge:
    """What the lanes share: admission, routing, metrics and logging."""

    def __init__(
        self,
        router: Router,
        *,
        log: FilteringBoundLogger,
        instruments: Instruments | None = None,
        policy: Policy | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.router = router
        self.policy = policy or Policy()
        self.gate = gate or Gate()
        self._log = log
        self.instruments = instruments or Instruments()
        self._traced = not isinstance(self.instruments.tracer, NoRequestTracer)

    def arrive(self, trail: Trail) -> tuple[Route, Mapping[str, str]]:
        """Find a request's route and admit the request, before its body has arrived.

        Raises:
            NotFound, MethodNotAllowed: there is no route; such requests are rate-limited too.
            TooManyRequests, TooManyInHand: the request is refused.
        """
        try:
            found = self.router.find(trail.method, trail.path)
        except HttpError:
            self.gate.arrive(trail.client)
            raise
        route, _ = found
        trail.route = route.label
        if route.limited:
            self.gate.arrive(trail.client)
        return found

    async def answer(
        self, route: Route, request: HttpRequest, path: Mapping[str, str], begun: float
    ) -> HttpResponse:
        """Answer a request that has arrived; raises only cancellations.

        It began at the time ``begun`` of Trio's clock.
        """
        trail = request.trail
        before = HANDLED.set(trail)
        try:
            if not self._traced:
                return self._answered(trail, await route.respond(request, path), begun)
            with self.instruments.tracer.request(request.headers.items(), trail):
                return self._answered(trail, await route.respond(request, path), begun)
        except BaseExceptionGroup as group:
            failed, cancelled = split_failure(group)
            self.failed(trail.request_id, failed)
            raise cancelled from None
        finally:
            self.ended(trail)
            HANDLED.reset(before)

    def refuse(
        self, error: HttpError, headers: Headers, trail: Trail, begun: float
    ) -> HttpResponse:
        """Refuse a request without calling its route; it began at the time ``begun``."""
        return self.respond(problem_of(error).response(), headers, trail, begun)

    def respond(
        self, response: HttpResponse, headers: Headers, trail: Trail, begun: float
    ) -> HttpResponse:
        """Count and log a ready-made answer to a request that began at the time ``begun``."""
        with handling(trail):
            if self._traced:
                with self.instruments.tracer.request(headers.items(), trail):
                    self._answered(trail, response, begun)
            else:
                self._answered(trail, response, begun)
            self.ended(trail)
        return response

    def _answered(self, trail: Trail, response: HttpResponse, begun: float) -> HttpResponse:
        trail.status = response.status
        trail.seconds = trio.current_time() - begun
        self.instruments.traffic.answered(trail)
        return response

    def failed(self, request_id: str, error: BaseException) -> None:
        """Log an unexpected error under the id of the request that met it."""
        self._log.error("request_failed", request_id=request_id, exc_info=error)

    def ended(self, trail: Trail) -> None:
        """Log a finished request, if it is one of those to be logged."""
        if not trail.status:
            self.instruments.traffic.abandoned()
        self.instruments.log_request(self._log, trail)


def make_edge(
    gateway: Gateway,
    settings: HttpSettings,
    endpoints: Sequence[Endpoint],
    *,
    pages: Mapping[str, File],
    log: FilteringBoundLogger,
    instruments: Instruments | None = None,
) -> Edge:
    """Make the edge of a server that serves a table of endpoints, and the files of its pages.

    Raises:
        ValueError: a row of the table contradicts itself or another.
        TypeError: the type of a row's query is not a struct.
    """
    gate = Gate(settings, log=log)
    pipeline = Pipeline(gateway, log=log, gate=gate)
    metrics = None if instruments is None else instruments.metrics
    policy = Policy.of(
        security_headers=settings.security_headers,
        tls=settings.tls is not None,
        origins=settings.cors_origins,
    )
    router = make_router(pipeline, endpoints, pages=pages, metrics=metrics)
    return Edge(router, log=log, instruments=instruments, policy=policy, gate=gate)
