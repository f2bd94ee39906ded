"""``/openapi.json`` (OpenAPI 3.1) from the table of endpoints and the types themselves."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from app.etags import etag_of
from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Auth, Endpoint, Key, PathKind
from app.http.exchange import JSON_TYPE
from app.http.responses import describe_responses, shared
from app.http.schemas import query_parameters, schemas_of
from app.http.streams.description import STREAM_TYPES, STREAMS, describe_stream
from app.http.types.world import ProblemDetails

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from app.http.endpoint import Call

_KEYS: Final = MappingProxyType(
    {
        Key.REQUIRED: (PROBLEM_KINDS["idempotency-key-required"].description, "^[!-~]{1,255}$"),
        Key.OPTIONAL: (
            "16 to 255 visible ASCII characters, random: the same when a request is sent again.",
            "^[!-~]{16,255}$",
        ),
    }
)
"""What an ``Idempotency-Key`` is, and its pattern."""

API_VERSION = "1"
"""The version of the contract."""


def with_openapi(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Add ``GET /openapi.json`` to a table; it describes the whole table, itself included."""
    document, etag = b"", b""

    async def get_openapi(call: Call[None, None]) -> msgspec.Raw:  # noqa: ARG001
        """Return this document."""
        return msgspec.Raw(document)

    handler: Callable[[Call[Any, Any]], Awaitable[msgspec.Raw]] = get_openapi
    itself = Endpoint(
        method="GET",
        path="/openapi.json",
        handler=handler,
        summary="This document",
        tag="system",
        auth=Auth.NONE,
        response=dict[str, Any],
        etag=lambda _: etag,
    )
    table = (*endpoints, itself)
    document = msgspec.json.encode(describe(table))
    etag = etag_of(document)
    return table


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Describe a table, and the event streams, as an OpenAPI 3.1 document."""
    schema_of, components = schemas_of(_types(endpoints))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operations = paths.setdefault(endpoint.template, {})
        operations[endpoint.method.lower()] = _operation(endpoint, schema_of)
    for stream in STREAMS:
        operation = describe_stream(stream, _operation(stream, schema_of), schema_of)
        paths[stream.path] = {stream.method.lower(): operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Holdfast",
            "version": API_VERSION,
            "summary": "A persistent-world game server: accounts own assets that grow with time.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            **shared((*endpoints, *STREAMS), schema_of),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "PASETO v4"}
            },
        },
    }


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    """Return every type of the table once, in the table's order."""
    types: list[Any] = [ProblemDetails, *STREAM_TYPES]
    for endpoint in endpoints:
        for type_ in (endpoint.request, endpoint.response):
            if type_ is not None and type_ not in types:
                types.append(type_)
    return types


def _operation(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "parameters": [
            *_path_parameters(endpoint),
            *([] if endpoint.query is None else query_parameters(endpoint.query)),
            *_header_parameters(endpoint),
        ],
        "responses": describe_responses(endpoint, schema_of),
        "security": [] if endpoint.auth is Auth.NONE else [{"token": []}],
    }
    if endpoint.request is not None:
        content = {JSON_TYPE.decode(): {"schema": schema_of[endpoint.request]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string"}
            if kind is PathKind.TEXT
            else {"type": "string", "format": "uuid"},
        }
        for name, kind in endpoint.parameters().items()
    ]


def _header_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if endpoint.key is not Key.NONE:
        description, pattern = _KEYS[endpoint.key]
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": endpoint.key is Key.REQUIRED,
                "description": description,
                "schema": {"type": "string", "pattern": pattern},
            }
        )
    if endpoint.etag is not None:
        parameters.append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "description": "The ETag of the answer that the client already has.",
                "schema": {"type": "string"},
            }
        )
    return parameters
