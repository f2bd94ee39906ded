"""Routing: one set of routes, made from the table, for every lane."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from app.etags import is_held
from app.http.errors import MethodNotAllowed, NotFound
from app.http.exchange import NOT_MODIFIED, HttpResponse
from app.http.pipeline import bind
from app.http.soundness import check_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from app.http.endpoint import Endpoint
    from app.http.exchange import HttpRequest
    from app.http.instruments import MetricsPage
    from app.http.pipeline import Pipeline
    from app.pages import File

    Respond: TypeAlias = Callable[[HttpRequest, Mapping[str, str]], Awaitable[HttpResponse]]

OK = 200
METRICS_PATH = "/metrics"
PAGES = "pages"
"""The one route label of all page files: their paths change with every version."""

_NO_VALUES: Mapping[str, str] = MappingProxyType({})
PARAMETER = re.compile(r"\{(?P<name>[a-z_]+):[a-z]+\}")
"""A parameter in the template of a path."""


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one method of one path.

    - ``path``: a template with its parameters as the table writes them.
    - ``label``: the name under which the route is counted.
    - ``limited``: `Gate` must admit its requests.
    - ``respond``: answers a request, given its parameters' values; raises only cancellations.
    """

    method: str
    path: str
    label: str
    respond: Respond
    limited: bool = False


@dataclass(slots=True)
class _Node:
    """A place in the tree of paths, after one more segment."""

    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    parameter: tuple[str, _Node] | None = None
    methods: dict[str, Route] = field(default_factory=dict[str, Route])


class Router:
    """Finds the route of a request: as many steps as the path has segments."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Add every route; GET answers HEAD as well.

        Raises:
            ValueError: two routes conflict, or name the same parameter differently.
        """
        self._root = _Node()
        # Methods and paths without parameters, which most requests have, are found in one step.
        self._fixed: dict[tuple[str, str], tuple[Route, Mapping[str, str]]] = {}
        for route in routes:
            node = self._place(route.path)
            if route.method in node.methods:
                raise ValueError(f"{route.method} {route.path} is answered by two routes")
            methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
            for method in methods:
                node.methods[method] = route
                if PARAMETER.search(route.path) is None:
                    self._fixed[method, route.path] = (route, _NO_VALUES)

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route and the values of its path parameters.

        Raises:
            NotFound: nothing answers this path.
            MethodNotAllowed: something does, but not with this method.
        """
        found = self._fixed.get((method, path))
        if found is not None:
            return found
        values: dict[str, str] = {}
        methods = self._search(path, values)
        route = methods.get(method)
        if route is None:
            if not methods:
                raise NotFound("nothing exists at this path")
            raise MethodNotAllowed(tuple(sorted(methods)))
        return route, values

    def _search(self, path: str, values: dict[str, str]) -> Mapping[str, Route]:
        node = self._root
        for segment in path.split("/")[1:]:
            child = node.children.get(segment)
            if child is None:
                if node.parameter is None or not segment:
                    return {}
                name, child = node.parameter
                values[name] = segment
            node = child
        return node.methods

    def _place(self, path: str) -> _Node:
        node = self._root
        for segment in path.split("/")[1:]:
            match = PARAMETER.fullmatch(segment)
            if match is None:
                node = node.children.setdefault(segment, _Node())
                continue
            name = match["name"]
            if node.parameter is None:
                node.parameter = (name, _Node())
            elif node.parameter[0] != name:
                raise ValueError(f"{path} calls {node.parameter[0]} by another name, {name}")
            node = node.parameter[1]
        return node


def make_router(
    pipeline: Pipeline,
    endpoints: Sequence[Endpoint],
    *,
    pages: Mapping[str, File],
    metrics: MetricsPage | None = None,
) -> Router:
    """Make the routes of a table of endpoints, of the files of pages by path, and of the metrics.

    Raises:
        ValueError: a row of the table contradicts itself or another, or names something unknown.
        TypeError: the type of a row's query is not a struct.
    """
    check_table(endpoints)
    routes = [_endpoint_route(pipeline, endpoint) for endpoint in endpoints]
    routes += [Route("GET", path, PAGES, _file_response(file)) for path, file in pages.items()]
    if metrics is not None:
        routes.append(
            Route("GET", METRICS_PATH, METRICS_PATH, _metrics_response(pipeline, metrics))
        )
    return Router(routes)


def _endpoint_route(pipeline: Pipeline, endpoint: Endpoint) -> Route:
    respond = partial(pipeline.respond, bind(endpoint))
    label = endpoint.template
    return Route(endpoint.method, endpoint.path, label, respond, endpoint.limited)


def _file_response(file: File) -> Respond:
    async def respond(request: HttpRequest, _: Mapping[str, str]) -> HttpResponse:
        held = is_held(file.etag, request.headers.all(b"if-none-match"))
        return HttpResponse(NOT_MODIFIED if held else OK, file.headers, file.body)

    return respond


def _metrics_response(pipeline: Pipeline, page: MetricsPage) -> Respond:
    async def respond(request: HttpRequest, _: Mapping[str, str]) -> HttpResponse:
        try:
            return await page.respond(request.trail.client, request.headers)
        # As in the pipeline: whatever is raised, the client gets a problem.
        except Exception as error:  # noqa: BLE001
            return pipeline.refuse(error, request.request_id)

    return respond
