"""The outermost ASGI application: gives every request its id, and lets no error out.

Quart-Trio drops an exception that is raised together with a cancellation, and a framework may fail
outside any handler: here both are logged, and the client gets a problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from app.http.cancellation import split_failure
from app.http.edge import REQUEST_ID, request_id_of
from app.http.errors import HttpError, MalformedRequest
from app.http.exchange import NO_CONTENT, Headers
from app.http.head import path_of
from app.http.problems import problem_of
from app.http.trail import Trail
from app.logs import handling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from app.http.edge import Edge
    from app.http.exchange import HttpResponse

# ASGI is a protocol of plain dictionaries.
Scope: TypeAlias = "MutableMapping[str, Any]"
Event: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Event]]"
Send: TypeAlias = "Callable[[Event], Awaitable[None]]"
AsgiApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"


class AsgiEdge:
    """Wraps the ASGI application that routes; ``edge`` counts and logs what passes through."""

    def __init__(self, app: AsgiApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope; raises only cancellations."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope["headers"])
        if "raw_path" in scope:
            scope["path"] = path_of(scope["raw_path"])
        trail = self._trail_of(scope, headers)
        scope.setdefault("state", {}).update(request_id=trail.request_id, trail=trail)
        with handling(trail), self._edge.instruments.tracer.request(scope["headers"], trail):
            try:
                answer = _Answer(send, trail, self._edge, headers)
                preflight = self._edge.policy.preflight(trail.method, headers)
                if preflight is not None:
                    await answer.send_response(self._limited(trail, preflight))
                else:
                    await self._serve(scope, receive, answer)
            finally:
                self._edge.ended(trail)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if not scope["path"].startswith("/"):
            target = MalformedRequest("the request target must be a path that begins with '/'")
            await answer.send_response(problem_of(target).response())
            return
        error = await self._run(scope, receive, answer)
        if error is not None:
            request_id = scope["state"]["request_id"]
            self._edge.failed(request_id, error)
            if not answer.started:
                await answer.send_response(problem_of(error).response())

    def _limited(self, trail: Trail, response: HttpResponse) -> HttpResponse:
        """Return an answer that the edge gives itself, unless its client is over its rate."""
        try:
            self._edge.gate.arrive(trail.client)
        except HttpError as refusal:
            return problem_of(refusal).response()
        return response

    async def _run(self, scope: Scope, receive: Receive, answer: _Answer) -> Exception | None:
        """Run the application; return what it failed with, raise what cancelled it."""
        try:
            await self._app(scope, receive, answer.send)
        # The edge of the program: no error of a request may escape.
        except Exception as error:  # noqa: BLE001
            return error
        except BaseExceptionGroup as group:
            failed, cancelled = split_failure(group)
            request_id = scope["state"]["request_id"]
            self._edge.failed(request_id, failed)
            raise cancelled from None
        return None

    def _trail_of(self, scope: Scope, headers: Headers) -> Trail:
        peer = scope.get("client")
        return Trail(
            request_id_of(headers),
            scope.get("method", ""),
            scope["path"],
            self._edge.gate.client_of(peer[0], headers) if peer else "",
        )


class _Answer:
    """The way back to the client: knows whether an answer has begun, and adds the id to it.

    An answer is counted before it is sent, so that a client that has it finds it counted.
    """

    __slots__ = (
        "_begun",
        "_edge",
        "_send",
        "_sharing",
        "_trail",
        "started",
    )

    def __init__(self, send: Send, trail: Trail, edge: Edge, headers: Headers) -> None:
        self._send = send
        self._trail = trail
        self._edge = edge
        self._sharing = edge.policy.sharing(headers)
        self._begun = trio.current_time()
        self.started = False

    async def send(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.started = True
            self._trail.status = event["status"]
            self._trail.seconds = trio.current_time() - self._begun
            self._edge.instruments.traffic.answered(self._trail)
            headers = tuple(cast("Iterable[tuple[bytes, bytes]]", event.get("headers", ())))
            own = (REQUEST_ID, self._trail.request_id.encode("ascii"))
            added = self._edge.policy.added(headers)
            event = {**event, "headers": [*headers, *added, *self._sharing, own]}
        await self._send(event)

    async def send_response(self, response: HttpResponse) -> None:
        headers = list(response.headers)
        if response.status != NO_CONTENT:
            headers.append((b"content-length", str(len(response.body)).encode("ascii")))
        await self.send(
            {"type": "http.response.start", "status": response.status, "headers": headers}
        )
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})
