"""Checks a table of endpoints: a mistake in a row fails the start, not a request."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Auth, Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.http.endpoint import Endpoint

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PATH: Final = re.compile(r"(?:/(?:[\w.-]+|\{[a-z_]+:[a-z]+\}))+", re.ASCII)
_STATUSES: Final = frozenset(status.value for status in HTTPStatus)


def check_table(endpoints: Sequence[Endpoint]) -> None:
    """Check every row, and all of them together.

    Raises:
        ValueError: some are faulty; the message names each with its fault.
    """
    faults = [
        f"{endpoint.method} {endpoint.path}: {fault}"
        for endpoint in endpoints
        for fault in _row_faults(endpoint)
    ]
    names: set[str] = set()
    for endpoint in endpoints:
        if endpoint.name in names:
            faults.append(f"{endpoint.method} {endpoint.path}: another is named {endpoint.name}")
        names.add(endpoint.name)
    if faults:
        raise ValueError("; ".join(faults))


def _row_faults(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.method not in _METHODS:
        yield f"the method is none of {', '.join(sorted(_METHODS))}"
    if _PATH.fullmatch(endpoint.path) is None:
        yield "the path is not made of /name and /{name:kind}"
    for slug in (*endpoint.errors, endpoint.absent):
        if slug not in PROBLEM_KINDS:
            yield f"there is no problem {slug!r}"
    for status in (endpoint.status, *(status for status, _ in endpoint.also)):
        if status not in _STATUSES:
            yield f"there is no status {status}"
    yield from _key_faults(endpoint)
    for type_ in (endpoint.request, endpoint.query):
        if type_ is not None:
            yield from _lax_types(type_)


def _key_faults(endpoint: Endpoint) -> Iterator[str]:
    if endpoint.key is Key.REQUIRED and endpoint.auth is Auth.NONE:
        yield "an Idempotency-Key belongs to an account, and anybody may call"
    if endpoint.key is Key.OPTIONAL and endpoint.request is None:
        yield "an optional Idempotency-Key is read with a body, and there is none"


def _lax_types(type_: type) -> Iterator[str]:
    """Yield the structs in a client's input that would accept unknown members."""
    _, components = msgspec.json.schema_components([type_])
    for name, schema in components.items():
        if "properties" in schema and schema.get("additionalProperties") is not False:
            yield f"{name} lacks forbid_unknown_fields=True"
