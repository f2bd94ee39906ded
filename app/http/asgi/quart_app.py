"""Quart, serving the routes of the edge; no other module depends on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers as WireHeaders
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout

from app.http.asgi.edge import AsgiEdge
from app.http.errors import BodyTimeout, MalformedRequest, PayloadTooLarge
from app.http.exchange import NO_CONTENT, Headers, HttpRequest
from app.http.problems import problem_of

if TYPE_CHECKING:
    from quart.ctx import RequestContext
    from quart.wrappers import BaseRequestWebsocket

    from app.http.asgi.arrival import Arrival
    from app.http.asgi.edge import AsgiApp
    from app.http.edge import Edge
    from app.http.exchange import HttpResponse
    from app.http.settings import HttpSettings
    from app.http.trail import Trail


class _App(QuartTrio):
    """Serves the routes of an edge: Quart's own would be a second routing table."""

    def __init__(self, edge: Edge) -> None:
        super().__init__(__name__, static_folder=None, template_folder=None)
        self._edge = edge

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> None:  # noqa: ARG002 - as Quart calls it
        """Return no adapter: `dispatch_request` gets the route from the edge."""
        return

    async def dispatch_request(self, request_context: RequestContext | None = None) -> Response:  # noqa: ARG002 - as Quart calls it
        """Answer a request; raises its refusal if that comes before its route is called."""
        trail = _trail()
        route, path = self._edge.arrive(trail)
        headers = Headers(request.scope["headers"])
        announced = headers.all(b"content-length") or headers.all(b"transfer-encoding")
        http_request = HttpRequest(
            trail.method,
            trail.path,
            request.query_string,
            headers,
            await _body() if announced else b"",
            trail.request_id,
            trail,
        )
        return _quart_response(await route.respond(http_request, path))


def create_app(edge: Edge, settings: HttpSettings) -> AsgiEdge:
    """Make the ASGI application that serves the routes of an edge.

    It needs no lifespan: no actor lives in it.
    """
    app = _App(edge)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["BODY_TIMEOUT"] = settings.body_timeout_ms / 1000
    # The connection sets the deadline of a send.
    app.config["RESPONSE_TIMEOUT"] = None

    async def refuse(error: Exception) -> Response:
        own = _own_error(error, settings)
        problem = problem_of(own)
        if problem.unforeseen:
            edge.failed(_trail().request_id, own)
        return _quart_response(problem.response())

    app.register_error_handler(Exception, refuse)
    return AsgiEdge(cast("AsgiApp", app), edge)


async def _body() -> bytes:
    """Receive a request's body; raises the request's refusal."""
    arrival = cast("dict[str, Arrival]", request.scope["state"])["arrival"]
    await arrival.go_on()
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    fault = arrival.fault()
    if fault is not None:
        raise fault
    return body


def _trail() -> Trail:
    # Set by the edge; Hypercorn's type of a scope does not have it.
    state = cast("dict[str, Trail]", request.scope["state"])
    return state["trail"]


def _quart_response(response: HttpResponse) -> Response:
    headers = WireHeaders(
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
    )
    answer = Response(response.body, response.status, headers)
    if response.status == NO_CONTENT:
        # Such an answer has neither a body nor a length (RFC 9110, 8.6); Quart adds both headers.
        answer.headers.remove("content-length")
        answer.headers.remove("content-type")
    return answer


def _own_error(error: Exception, settings: HttpSettings) -> Exception:
    """Translate what Quart and Werkzeug raise before any of our handlers runs."""
    match error:
        case RequestEntityTooLarge():
            return PayloadTooLarge(f"a body may have at most {settings.max_body_bytes} bytes")
        case RequestTimeout():
            return BodyTimeout(f"the body did not arrive within {settings.body_timeout_ms} ms")
        case HTTPException() if error.code is not None and error.code < 500:  # noqa: PLR2004
            return MalformedRequest(error.description or "the request cannot be read")
        case _:
            return error
