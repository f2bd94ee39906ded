"""A request and a response as any front can make them: no Quart, no ASGI, no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.http.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON_TYPE = b"application/json"
"""The media type of every answer that is not a problem."""

PROBLEM_TYPE = b"application/problem+json"
"""The media type of every problem (RFC 9457)."""

NO_CONTENT = 204
"""The status of an answer without a body, and without a word of its length."""

NOT_MODIFIED = 304
"""The status of an answer to who has it already: its body is told the length of, and not sent."""


class Headers:
    """A request's headers by lower-case name; a name may have come more than once."""

    __slots__ = ("_values",)

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in items:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values

    def items(self) -> list[tuple[bytes, bytes]]:
        """Give every header, those of one name together."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def with_one(self, name: bytes, value: bytes) -> Headers:
        """Give the same headers but for one, which is there once with this value."""
        other = Headers(())
        other._values = {**self._values, name: [value]}
        return other

    def all(self, name: bytes) -> list[bytes]:
        """Give every value of a header, in order; none if it is absent."""
        return self._values.get(name, [])


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request with its whole body; ``query`` is what follows ``?``, still encoded.

    ``trail`` is where those who handle it leave word of what they learn.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    request_id: str
    trail: Trail = msgspec.field(default_factory=Trail)


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """One response; ``X-Request-Id``, ``Date`` and the framing are added by the server."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
