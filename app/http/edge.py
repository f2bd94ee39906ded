"""The outermost ASGI application: gives every request its id, and lets no error out.

Quart-Trio drops an exception that comes together with a cancellation, and a framework may fail
where no handler is in charge: here both are logged, and the client gets a problem.
"""

from __future__ import annotations

import re
from os import urandom
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from app.http.cancellation import split_failure
from app.http.errors import HttpError, MalformedRequest, NotFound
from app.http.exchange import NO_CONTENT, Headers
from app.http.gate import Gate
from app.http.head import path_of
from app.http.instruments import Instruments, NoRequestTracer
from app.http.policy import Policy
from app.http.problems import problem_of
from app.http.trail import Trail
from app.logs import handling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping

    from structlog.typing import FilteringBoundLogger

    from app.http.exchange import HttpRequest, HttpResponse
    from app.http.routes import Route, Router
    from app.http.traffic import Traffic

# ASGI is a protocol of plain dictionaries.
Scope: TypeAlias = "MutableMapping[str, Any]"
Event: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Event]]"
Send: TypeAlias = "Callable[[Event], Awaitable[None]]"
AsgiApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"

REQUEST_ID = b"x-request-id"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """Make an id for a request that came without a usable one; it is a name and no secret."""
    return urandom(8).hex()


def request_id_of(headers: Headers) -> str:
    """Give the client's own id of a request if it is fit for a log, else a new one."""
    for value in headers.all(REQUEST_ID):
        if _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return new_request_id()


class Edge:
    """Wraps the ASGI application that routes; counts and logs what passes through."""

    def __init__(
        self,
        app: AsgiApp,
        *,
        log: FilteringBoundLogger,
        instruments: Instruments | None = None,
        router: Router | None = None,
        policy: Policy | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.router = router
        self.policy = policy or Policy()
        self.gate = gate or Gate()
        self._app = app
        self._log = log
        self._instruments = instruments or Instruments()
        self._traced = not isinstance(self._instruments.tracer, NoRequestTracer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; raises nothing but cancellations."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        if "raw_path" in scope:
            scope["path"] = path_of(scope["raw_path"])
        trail = self._trail_of(scope, headers)
        scope.setdefault("state", {}).update(request_id=trail.request_id, trail=trail)
        with handling(trail), self._instruments.tracer.request(scope["headers"], trail):
            try:
                answer = _Answer(send, trail, self._instruments.traffic)
                answer.policy, answer.sharing = self.policy, self.policy.sharing(headers)
                preflight = self.policy.preflight(trail.method, headers)
                if preflight is not None:
                    await answer.send_response(self._limited(trail, preflight))
                else:
                    await self._serve(scope, receive, answer)
            finally:
                self._ended(trail)

    def arrive(self, router: Router, trail: Trail) -> tuple[Route, Mapping[str, str]]:
        """Find a request's route and let it in before its body has come, as the application would.

        Raises:
            NotFound, MethodNotAllowed: there is none; that is limited as what there is.
            TooManyRequests, TooManyInHand: what it is to be refused with.
        """
        try:
            found = router.find(trail.method, trail.path)
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
        """Answer a request as the application would, without it; raises cancellations only.

        It came at the time ``begun`` of Trio's clock.
        """
        trail = request.trail
        with handling(trail):
            try:
                if not self._traced:
                    return self._answered(trail, await route.respond(request, path), begun)
                with self._instruments.tracer.request(request.headers.items(), trail):
                    return self._answered(trail, await route.respond(request, path), begun)
            except BaseExceptionGroup as group:
                failed, cancelled = split_failure(group)
                self._log.error("request_failed", request_id=trail.request_id, exc_info=failed)
                raise cancelled from None
            finally:
                self._ended(trail)

    def refuse(
        self, error: HttpError, headers: Headers, trail: Trail, begun: float
    ) -> HttpResponse:
        """Answer a request that no route is asked for; it came at the time ``begun``."""
        return self.respond(problem_of(error).response(), headers, trail, begun)

    def respond(
        self, response: HttpResponse, headers: Headers, trail: Trail, begun: float
    ) -> HttpResponse:
        """Count and log an answer that was ready, to a request of the time ``begun``."""
        with handling(trail):
            if self._traced:
                with self._instruments.tracer.request(headers.items(), trail):
                    self._answered(trail, response, begun)
            else:
                self._answered(trail, response, begun)
            self._ended(trail)
        return response

    def _answered(self, trail: Trail, response: HttpResponse, begun: float) -> HttpResponse:
        trail.status = response.status
        trail.seconds = trio.current_time() - begun
        self._instruments.traffic.answered(trail)
        return response

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not scope["path"].startswith("/"):
            target = MalformedRequest("the request target must be a path that begins with '/'")
            await answer.send_response(problem_of(target).response())
            return
        if scope["path"].startswith("//"):
            # Werkzeug takes several slashes at the beginning for one.
            nothing = problem_of(NotFound("there is nothing under this path")).response()
            await answer.send_response(self._limited(scope["state"]["trail"], nothing))
            return
        error = await self._run(scope, receive, answer)
        if error is not None:
            request_id = scope["state"]["request_id"]
            self._log.error("request_failed", request_id=request_id, exc_info=error)
            if not answer.started:
                await answer.send_response(problem_of(error).response())

    def _limited(self, trail: Trail, response: HttpResponse) -> HttpResponse:
        """Give an answer that needs nobody behind the edge, unless its client asks too often."""
        try:
            self.gate.arrive(trail.client)
        except HttpError as refusal:
            return problem_of(refusal).response()
        return response

    async def _run(self, scope: Scope, receive: Receive, answer: _Answer) -> Exception | None:
        """Run the application; return what it failed with, raise what cancelled it."""
        try:
            await self._app(scope, receive, answer.send)
        # The edge of the program: nothing that a request causes may pass.
        except Exception as error:  # noqa: BLE001
            return error
        except BaseExceptionGroup as group:
            failed, cancelled = split_failure(group)
            request_id = scope["state"]["request_id"]
            self._log.error("request_failed", request_id=request_id, exc_info=failed)
            raise cancelled from None
        return None

    def _trail_of(self, scope: Scope, headers: Headers) -> Trail:
        peer = scope.get("client")
        return Trail(
            request_id_of(headers),
            scope.get("method", ""),
            scope["path"],
            self.gate.client_of(peer[0], headers) if peer else "",
        )

    def _ended(self, trail: Trail) -> None:
        """Log a request that is over, if it is one of those that are logged."""
        if not trail.status:
            self._instruments.traffic.abandoned()
        self._instruments.log_request(self._log, trail)


class _Answer:
    """The way back to the client: knows whether an answer has begun, and adds the id to it.

    An answer is counted before it is sent, so that whoever has it finds it counted.
    """

    __slots__ = (
        "_begun",
        "_request_id",
        "_send",
        "_traffic",
        "_trail",
        "policy",
        "sharing",
        "started",
    )

    def __init__(self, send: Send, trail: Trail, traffic: Traffic) -> None:
        self._send = send
        self._trail = trail
        self._traffic = traffic
        self._request_id = trail.request_id.encode("ascii")
        self._begun = trio.current_time()
        self.policy = Policy()
        self.sharing: tuple[tuple[bytes, bytes], ...] = ()
        self.started = False

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.started = True
            self._trail.status = event["status"]
            self._trail.seconds = trio.current_time() - self._begun
            self._traffic.answered(self._trail)
            headers = tuple(cast("Iterable[tuple[bytes, bytes]]", event.get("headers", ())))
            own = (REQUEST_ID, self._request_id)
            added = self.policy.added(headers)
            event = {**event, "headers": [*headers, *added, *self.sharing, own]}
        await self._send(event)

    async def send_response(self, response: HttpResponse) -> None:
        headers = list(response.headers)
        if response.status != NO_CONTENT:
            headers.append((b"content-length", str(len(response.body)).encode("ascii")))
        await self.send(
            {"type": "http.response.start", "status": response.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})
