"""How answers and problems appear in ``/openapi.json``.

A status with only one problem is described once, among the document's components, like the
problems' examples and the headers; a status with several is described in place.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Key
from app.http.exchange import JSON_TYPE, NOT_MODIFIED, PROBLEM_TYPE
from app.http.slugs import slugs
from app.http.types.world import ProblemDetails

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.http.catalogue import ProblemKind
    from app.http.endpoint import Endpoint

    Json: TypeAlias = dict[str, Any]

_JSON: Final = JSON_TYPE.decode()
_PROBLEM: Final = PROBLEM_TYPE.decode()
_REQUEST_ID: Final = "X-Request-Id"

_HEADERS: Final = MappingProxyType(
    {
        _REQUEST_ID: "The id of the request, as in the server's log.",
        "Retry-After": "The number of seconds after which to try again.",
        "Idempotency-Replayed": "The command took effect earlier: this is its first answer again.",
        "ETag": "Sent back as If-None-Match, it says which answer the client already has.",
        "Allow": "The methods that the path supports.",
        "WWW-Authenticate": "Bearer (RFC 6750, 3), with an error where a token was refused.",
        "Upgrade": "The protocol over which the path is served.",
        "Sec-WebSocket-Version": "The version of WebSocket that is spoken.",
    }
)
"""The description of each header."""

_NOT_TEXT: Final[Mapping[str, Json]] = MappingProxyType(
    {
        "Retry-After": {"type": "integer", "minimum": 1},
        "Idempotency-Replayed": {"type": "string", "enum": ["true"]},
    }
)
"""The schema of each header that is not free text."""

_OF_PROBLEM: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "invalid-token": ("WWW-Authenticate",),
        "invalid-credentials": ("WWW-Authenticate",),
        "method-not-allowed": ("Allow",),
        "transfer-returned": ("Idempotency-Replayed",),
        "upgrade-required": ("Upgrade", "Sec-WebSocket-Version"),
        "too-many-attempts": ("Retry-After",),
        "too-many-requests": ("Retry-After",),
        "too-many-streams": ("Retry-After",),
        "overloaded": ("Retry-After",),
        "unavailable": ("Retry-After",),
        "actor-stopped": ("Retry-After",),
    }
)
"""The headers that come with a problem, some of them only sometimes."""


def describe_responses(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> Json:
    """Describe all that an endpoint can answer, by status."""
    responses = _answers(endpoint, schema_of)
    for status, kinds in _by_status(endpoint).items():
        answer = responses.get(status)
        if answer is not None:
            _add(answer, _problems(kinds, schema_of[ProblemDetails]))
        elif len(kinds) == 1:
            responses[status] = {"$ref": f"#/components/responses/{kinds[0].slug}"}
        else:
            responses[status] = _problems(kinds, schema_of[ProblemDetails])
    return responses


def shared(endpoints: Iterable[Endpoint], schema_of: Mapping[Any, Any]) -> Json:
    """Return the components that the responses of some endpoints refer to."""
    alone: set[str] = set()
    used: set[str] = set()
    for endpoint in endpoints:
        for kinds in _by_status(endpoint).values():
            used.update(kind.slug for kind in kinds)
            if len(kinds) == 1:
                alone.add(kinds[0].slug)
    return {
        "responses": {
            slug: _problems([kind], schema_of[ProblemDetails])
            for slug, kind in PROBLEM_KINDS.items()
            if slug in alone
        },
        "examples": {slug: _example(kind) for slug, kind in PROBLEM_KINDS.items() if slug in used},
        "headers": {
            name: {
                "description": description,
                "required": name == _REQUEST_ID,
                "schema": _NOT_TEXT.get(name, {"type": "string"}),
            }
            for name, description in _HEADERS.items()
        },
    }


def _answers(endpoint: Endpoint, schema_of: Mapping[Any, Any]) -> dict[str, Json]:
    answers: dict[str, Json] = {}
    for status, description in ((endpoint.status, endpoint.summary), *endpoint.also):
        replayed = endpoint.key is Key.REQUIRED and status != endpoint.status
        own = ("Idempotency-Replayed",) if replayed else ()
        answer: Json = {"description": description, "headers": _headers(*own)}
        if endpoint.response is not None:
            answer["content"] = {_JSON: {"schema": schema_of[endpoint.response]}}
        answers[str(status)] = answer
    if endpoint.etag is not None:
        answers[str(endpoint.status)]["headers"] = _headers("ETag")
        answers[str(NOT_MODIFIED)] = {
            "description": "The client already has it, as If-None-Match says",
            "headers": _headers("ETag"),
        }
    return answers


def _by_status(endpoint: Endpoint) -> dict[str, list[ProblemKind]]:
    found: dict[str, list[ProblemKind]] = {}
    for kind in sorted((PROBLEM_KINDS[slug] for slug in slugs(endpoint)), key=_status):
        found.setdefault(str(kind.status.value), []).append(kind)
    return found


def _status(kind: ProblemKind) -> int:
    return kind.status.value


def _add(answer: Json, problems: Json) -> None:
    """Add problems to an answer whose status also stands for them."""
    answer["description"] += f"; {problems['description']}"
    answer["headers"] |= problems["headers"]
    answer.setdefault("content", {}).update(problems["content"])


def _problems(kinds: Sequence[ProblemKind], schema: Any) -> Json:
    own = (name for kind in kinds for name in _OF_PROBLEM.get(kind.slug, ()))
    examples = {kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds}
    return {
        "description": "; ".join(f"`{kind.slug}`: {kind.title}" for kind in kinds),
        "headers": _headers(*own),
        "content": {_PROBLEM: {"schema": schema, "examples": examples}},
    }


def _example(kind: ProblemKind) -> Json:
    return {
        "summary": kind.description,
        "value": {
            "type": kind.uri,
            "title": kind.title,
            "status": kind.status.value,
            "detail": kind.description,
        },
    }


def _headers(*own: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (_REQUEST_ID, *own)}
