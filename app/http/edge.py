"""The outermost ASGI application: gives every request its id, and lets no error out.

Quart-Trio drops an exception that comes together with a cancellation, and a framework may fail
where no handler is in charge: here both are logged, and the client gets a problem.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from app.http.cancellation import split_failure
from app.http.errors import MalformedRequest
from app.http.instruments import Instruments
from app.http.problems import problem_of
from app.http.trail import Trail
from app.logs import handling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from structlog.typing import FilteringBoundLogger

    from app.http.exchange import HttpResponse
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
    """Make an id for a request that came without a usable one."""
    return secrets.token_hex(8)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Give the client's own id of a request if it is fit for a log, else a new one."""
    for name, value in headers:
        if name == REQUEST_ID and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return new_request_id()


class Edge:
    """Wraps the ASGI application that routes; counts and logs what passes through."""

    def __init__(
        self, app: AsgiApp, *, log: FilteringBoundLogger, instruments: Instruments | None = None
    ) -> None:
        self._app = app
        self._log = log
        self._instruments = instruments or Instruments()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; raises nothing but cancellations."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trail = _trail_of(scope)
        scope.setdefault("state", {}).update(request_id=trail.request_id, trail=trail)
        with handling(trail), self._instruments.tracer.request(scope["headers"], trail):
            try:
                answer = _Answer(send, trail, self._instruments.traffic)
                await self._serve(scope, receive, answer)
            finally:
                self._ended(trail)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not scope["path"].startswith("/"):
            target = MalformedRequest("the request target must be a path that begins with '/'")
            await answer.send_response(problem_of(target).response())
            return
        error = await self._run(scope, receive, answer)
        if error is not None:
            request_id = scope["state"]["request_id"]
            self._log.error("request_failed", request_id=request_id, exc_info=error)
            if not answer.started:
                await answer.send_response(problem_of(error).response())

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

    def _ended(self, trail: Trail) -> None:
        """Log a request that is over, if it is one of those that are logged."""
        if not trail.status:
            self._instruments.traffic.abandoned()
        if self._instruments.access_log.wants(trail.status):
            self._log.info(
                "http_request",
                method=trail.method,
                path=trail.path,
                route=trail.route,
                status=trail.status or None,
                duration_ms=round(trail.seconds * 1000, 3),
                client=trail.client,
            )


def _trail_of(scope: Scope) -> Trail:
    client = scope.get("client")
    return Trail(
        request_id_of(scope["headers"]),
        scope.get("method", ""),
        scope["path"],
        client[0] if client else "",
    )


class _Answer:
    """The way back to the client: knows whether an answer has begun, and adds the id to it.

    An answer is counted before it is sent, so that whoever has it finds it counted.
    """

    __slots__ = ("_begun", "_request_id", "_send", "_traffic", "_trail", "started")

    def __init__(self, send: Send, trail: Trail, traffic: Traffic) -> None:
        self._send = send
        self._trail = trail
        self._traffic = traffic
        self._request_id = trail.request_id.encode("ascii")
        self._begun = trio.current_time()
        self.started = False

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.started = True
            self._trail.status = event["status"]
            self._trail.seconds = trio.current_time() - self._begun
            self._traffic.answered(self._trail)
            headers = cast("Iterable[tuple[bytes, bytes]]", event.get("headers", ()))
            event = {**event, "headers": [*headers, (REQUEST_ID, self._request_id)]}
        await self._send(event)

    async def send_response(self, response: HttpResponse) -> None:
        length = (b"content-length", str(len(response.body)).encode("ascii"))
        await self.send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [*response.headers, length],
            }
        )
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})
