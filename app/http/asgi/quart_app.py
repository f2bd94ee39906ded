"""Quart's routes, made of the edge's; the only module that knows Quart."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers as WireHeaders
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout
from werkzeug.exceptions import MethodNotAllowed as RoutingMethodNotAllowed
from werkzeug.exceptions import NotFound as RoutingNotFound

from app.http.asgi.edge import AsgiEdge
from app.http.errors import (
    BodyTimeout,
    HttpError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
)
from app.http.exchange import NO_CONTENT, Headers, HttpRequest
from app.http.problems import problem_of
from app.http.routes import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quart.wrappers import BaseRequestWebsocket
    from werkzeug.routing import MapAdapter

    from app.http.asgi.arrival import Arrival
    from app.http.asgi.edge import AsgiApp
    from app.http.edge import Edge
    from app.http.exchange import HttpResponse
    from app.http.gate import Gate
    from app.http.routes import Route
    from app.http.settings import HttpSettings
    from app.http.trail import Trail


class _App(QuartTrio):
    """Finds a route by the path alone: what host a request names has been checked before."""

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Bind the map to a request: Werkzeug knows fewer hosts than there are (RFC 3986)."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind(
            "localhost",
            script_name=request.root_path,
            url_scheme=request.scheme,
            default_method=request.method,
            path_info=request.path,
            query_args=request.query_string.decode("latin-1"),
        )


def create_app(edge: Edge, settings: HttpSettings) -> AsgiEdge:
    """Make the ASGI application that answers by the routes of an edge.

    It needs no lifespan: no actor lives in it.
    """
    app = _App(__name__, static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["BODY_TIMEOUT"] = settings.body_timeout_ms / 1000
    # A send has its deadline in the connection.
    app.config["RESPONSE_TIMEOUT"] = None
    app.url_map.merge_slashes = False
    for number, route in enumerate(edge.router.routes):
        app.add_url_rule(
            PARAMETER.sub(r"<\g<name>>", route.path),
            endpoint=f"route {number}",
            view_func=_view(route, edge.gate),
            methods=[route.method],
            provide_automatic_options=False,
        )

    async def refuse(error: Exception) -> Response:
        own = _own_error(error, settings)
        if isinstance(error, RoutingNotFound | RoutingMethodNotAllowed):
            try:
                edge.gate.arrive(_trail().client)
            except HttpError as refusal:
                own = refusal
        problem = problem_of(own)
        if problem.unforeseen:
            edge.failed(_trail().request_id, own)
        return _quart_response(problem.response())

    app.register_error_handler(Exception, refuse)
    return AsgiEdge(cast("AsgiApp", app), edge)


def _view(route: Route, gate: Gate) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        trail = _trail()
        trail.route = route.label
        if route.limited:
            gate.arrive(trail.client)
        headers = Headers(request.scope["headers"])
        announced = headers.all(b"content-length") or headers.all(b"transfer-encoding")
        body = b""
        if announced:
            body = await _body()
        http_request = HttpRequest(
            request.method,
            request.path,
            request.query_string,
            headers,
            body,
            trail.request_id,
            trail,
        )
        return _quart_response(await route.respond(http_request, path))

    return view


async def _body() -> bytes:
    """Receive a request's body; raises what it is to be refused with."""
    arrival = cast("dict[str, Arrival]", request.scope["state"])["arrival"]
    await arrival.go_on()
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    fault = arrival.fault()
    if fault is not None:
        raise fault
    return body


def _trail() -> Trail:
    # The edge has put it there; Hypercorn's type of a scope does not know it.
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
    """Translate what Quart and Werkzeug raise before any handler of ours is in charge."""
    match error:
        case RoutingMethodNotAllowed():
            return MethodNotAllowed(tuple(sorted(error.valid_methods or ())))
        case RoutingNotFound():
            return NotFound("there is nothing under this path")
        case RequestEntityTooLarge():
            return PayloadTooLarge(f"a body may have {settings.max_body_bytes} bytes")
        case RequestTimeout():
            return BodyTimeout(f"the body did not arrive within {settings.body_timeout_ms} ms")
        case HTTPException() if error.code is not None and error.code < 500:  # noqa: PLR2004
            return MalformedRequest(error.description or "the request cannot be read")
        case _:
            return error
