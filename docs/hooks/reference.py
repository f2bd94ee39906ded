"""Generates the API reference: every endpoint, type and problem, from the tables behind them."""

from __future__ import annotations

from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, cast

from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Auth
from app.http.endpoints import ENDPOINTS
from app.http.exchange import PROBLEM_TYPE
from app.http.openapi import describe, with_openapi
from app.http.slugs import OF_ANY_CALL, slugs
from app.http.streams.description import STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from app.http.endpoint import Endpoint

_HEAD = """\
# API reference

Every call, generated from the tables that the server routes by; `GET /openapi.json` of a running
server gives the same as OpenAPI 3.1. The [API guide](../api.md) describes how to use the calls
together.

Bodies are JSON in UTF-8, times RFC 3339 in UTC, amounts integers, ids UUIDs as text. A body with an
unlisted member, or one of another type, is refused. Later versions may add members to answers:
ignore those you do not know.

Every answer has an `X-Request-Id`. Besides the refusals listed with each call, any call can be
refused for how it is sent, or for the state of the server:
"""
_PROBLEMS_HEAD = """\
# Problems

Every refusal is an `application/problem+json` (RFC 9457): `type` identifies the problem, `title`
says it in words, `status` repeats the status, `detail` says what happened this time. Some problems
have members of their own, named below. A running server gives the same descriptions at
`GET /problems/{slug}`.

Programs should use `type`, not `title` or `detail`: those are for people.

"""
_TITLES: Final = MappingProxyType(
    {
        "system": "The process",
        "world": "The world",
        "accounts": "Accounts",
        "sessions": "Sessions",
        "inventory": "Inventory",
        "orders": "Orders",
        "transfers": "Transfers",
        "events": "Events",
        "admin": "Operators",
    }
)
_WHO: Final = MappingProxyType(
    {
        Auth.NONE: "Anyone.",
        Auth.PLAYER: "Any logged-in account (`Authorization: Bearer …`).",
        Auth.ADMIN: "Operators: accounts of role `admin` (`Authorization: Bearer …`).",
    }
)
_PROBLEM: Final = PROBLEM_TYPE.decode()

_SHOWN_MAX: Final = 6
"""How many calls are listed outright."""

_SERVER_FAULT: Final = 500

_RETRY: Final = MappingProxyType(
    {
        "overloaded": "Nothing was done. Send it again after `Retry-After`.",
        "request-timeout": "Nothing was done. Send it again.",
        "too-many-attempts": "Wait for `Retry-After`.",
        "too-many-requests": "Nothing was done. Send it again after `Retry-After`.",
        "unavailable": "Send it again: a command with the same key, a read as it is.",
        "actor-stopped": "Send it again: a command with the same key, a read as it is.",
        "reply-timeout": "Send it again: a command with the same key, a read as it is.",
        "conflict": "Send it again with the same key.",
        "invalid-token": "Refresh the session, then send it again.",
    }
)
"""What a client does about transient problems."""


def endpoints() -> tuple[Endpoint, ...]:
    """Return every endpoint, event streams and ``/openapi.json`` included."""
    return (*with_openapi(ENDPOINTS), *STREAMS)


def api_page() -> str:
    """Return the page of every endpoint and type."""
    document = describe(with_openapi(ENDPOINTS))
    rows = sorted(endpoints(), key=lambda each: _place(each.tag))
    parts = [_HEAD, "| any call | |", "|---|---|", *_refusals(OF_ANY_CALL), "", *_overview(rows)]
    for tag, members in groupby(rows, key=lambda each: each.tag):
        parts.append(f"\n## {_title(tag)}\n")
        for endpoint in members:
            path = endpoint.template
            parts += _endpoint(endpoint, document["paths"][path][endpoint.method.lower()])
    parts.append("\n## Types\n")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts += _type(name, schema)
    return "\n".join(parts) + "\n"


def problems_page() -> str:
    """Return the page of every problem."""
    users: dict[str, list[Endpoint]] = {slug: [] for slug in PROBLEM_KINDS}
    everyone = endpoints()
    for endpoint in everyone:
        for slug in slugs(endpoint):
            users[slug].append(endpoint)
    parts = [_PROBLEMS_HEAD, "| status | problem | |", "|---|---|---|"]
    kinds = sorted(PROBLEM_KINDS.values(), key=lambda kind: kind.status.value)
    parts += [f"| {k.status.value} | [`{k.slug}`](#{k.slug}) | {k.title} |" for k in kinds]
    for kind in kinds:
        parts += [f"\n## {kind.slug} {{#{kind.slug}}}\n", f"**{kind.status.value}** {kind.title}\n"]
        parts.append(_cell(kind.description) + "\n")
        if kind.slug in _RETRY:
            parts.append(f"*What to do:* {_RETRY[kind.slug]}\n")
        parts.append(_users(users[kind.slug], of=len(everyone)) + "\n")
    return "\n".join(parts) + "\n"


def _users(rows: Sequence[Endpoint], *, of: int) -> str:
    if len(rows) == of:
        return "*Returned by:* every call."
    links = ", ".join(f"[`{_call(each)}`](api.md#{each.name})" for each in rows) + "."
    if len(rows) <= _SHOWN_MAX:
        return f"*Returned by:* {links}"
    return f'??? note "Returned by {len(rows)} calls"\n\n    {links}'


def _place(tag: str) -> int:
    order = list(_TITLES)
    return order.index(tag) if tag in order else len(order)


def _title(tag: str) -> str:
    return _TITLES.get(tag, tag.capitalize())


def _call(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.template}"


def _overview(rows: Iterable[Endpoint]) -> Iterator[str]:
    yield "| call | |"
    yield "|---|---|"
    for endpoint in rows:
        yield f"| [`{_call(endpoint)}`](#{endpoint.name}) | {endpoint.summary} |"


def _endpoint(endpoint: Endpoint, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {endpoint.summary} {{#{endpoint.name}}}\n"
    yield f"```http\n{_call(endpoint)}\n```\n"
    if operation.get("description"):
        yield _text(operation["description"]) + "\n"
    yield f"*Who:* {_WHO[endpoint.auth]}\n"
    parameters = operation["parameters"]
    if parameters:
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        for each in parameters:
            needed = "" if each.get("required") else _default(each["schema"])
            meaning = _cell(each.get("description", ""))
            told = " ".join(part for part in (meaning, needed) if part)
            yield f"| `{each['name']}` | {each['in']} | {_type_of(each['schema'])} | {told} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        [content] = body["content"].values()
        yield f"*Body:* {_type_of(content['schema'])}\n"
    yield "| answer | |"
    yield "|---|---|"
    yield from _answers(operation)
    yield from _refusals(slug for slug in slugs(endpoint) if slug not in OF_ANY_CALL)
    yield ""


def _refusals(found: Iterable[str]) -> Iterator[str]:
    """Yield a row for each 4xx status, and one for all 5xx."""
    by_status: dict[str, list[str]] = {}
    for slug in sorted(found, key=lambda each: PROBLEM_KINDS[each].status):
        status = PROBLEM_KINDS[slug].status
        group = "5xx" if status >= _SERVER_FAULT else str(status.value)
        by_status.setdefault(group, []).append(f"[`{slug}`](problems.md#{slug})")
    for status, links in by_status.items():
        yield f"| {status} | {', '.join(links)} |"


def _answers(operation: Mapping[str, Any]) -> Iterator[str]:
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        usual = [each for media, each in content.items() if media != _PROBLEM]
        if "$ref" in response or (content and not usual):
            continue
        told = [_type_of(each["schema"]) for each in usual]
        if response["description"] != operation["summary"]:
            told.append(_cell(response["description"]))
        yield f"| **{status}** | {': '.join(told) or 'nothing'} |"


def _type(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n### {name} {{#type-{name.lower()}}}\n"
    yield _text(schema.get("description", "")) + "\n"
    members = schema.get("properties", {})
    if not members:
        return
    required = set(schema.get("required", ()))
    yield "| member | type | |"
    yield "|---|---|---|"
    for member, shape in members.items():
        told = _cell(shape.get("description", ""))
        if not told and member not in required:
            told = "may be absent"
        yield f"| `{member}` | {_type_of(shape)} | {told} |"
    yield ""


def _default(shape: Mapping[str, Any]) -> str:
    return f"`{shape['default']}` if absent" if "default" in shape else "may be absent"


def _type_of(shape: Mapping[str, Any]) -> str:
    """Describe in words the values that a JSON schema allows."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f"[{name}](#type-{name.lower()})"
    choice = shape.get("anyOf") or shape.get("oneOf")
    if choice:
        kinds = list(dict.fromkeys(_type_of(each) for each in choice))
        return " or ".join(kinds)
    if "enum" in shape:
        return ", ".join(f"`{each}`" for each in shape["enum"])
    return _kind_of(shape)


def _kind_of(shape: Mapping[str, Any]) -> str:
    match shape.get("type"):
        case "array":
            return f"list of {_type_of(shape.get('items', {}))}"
        case "object":
            inner: object = shape.get("additionalProperties")
            if not isinstance(inner, dict):
                return "object"
            return f"name → {_type_of(cast('dict[str, Any]', inner))}"
        case "integer" | "number" as kind:
            return _bounded(kind, shape)
        case "string":
            return _string(shape)
        case str() as kind:
            return kind
        case _:
            return "any"


def _bounded(kind: str, shape: Mapping[str, Any]) -> str:
    least, most = shape.get("minimum"), shape.get("maximum")
    # The largest integer that JavaScript represents exactly is not worth showing.
    most = None if most == 2**53 - 1 else most
    if least is not None and most is not None:
        return f"{kind}, {least} to {most}"
    if least is not None:
        return f"{kind}, {least} or more"
    return kind


def _string(shape: Mapping[str, Any]) -> str:
    least, most = shape.get("minLength"), shape.get("maxLength")
    if most is not None:
        return f"string, {least or 0} to {most} characters"
    return "string"


def _text(text: str) -> str:
    """Write a docstring as Markdown."""
    return " ".join(text.replace("``", "`").split())


def _cell(text: str) -> str:
    """Write like `_text`, for a cell of a table."""
    return _text(text).replace("|", "\\|")
