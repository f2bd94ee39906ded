"""A request and a response as any front can make them: no Quart, no ASGI, no socket."""

from __future__ import annotations

from collections.abc import Callable
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


def never() -> bool:
    """Say no: what stands where nothing can tell that a client has hung up."""
    return False


_UNREAD = ""
"""Stands for a token that nobody has asked for yet; none is empty."""


class Headers:
    """A request's headers by lower-case name; a name may have come more than once."""

    __slots__ = ("_token", "_values")

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in items:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values
        self._token: str | None = _UNREAD

    def items(self) -> list[tuple[bytes, bytes]]:
        """Give every header, those of one name together."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def with_one(self, name: bytes, value: bytes) -> Headers:
        """Give the same headers but for one, which is not that of the token, given once."""
        other: Headers = Headers.__new__(Headers)
        other._values = {**self._values, name: [value]}
        other._token = self._token
        return other

    def all(self, name: bytes) -> list[bytes]:
        """Give every value of a header, in order; none if it is absent."""
        return self._values.get(name, [])

    def bearer_token(self) -> str | None:
        """Give the token of the one ``Authorization`` header, if it is a bearer token.

        It is read once: who plays sends the same headers again and again (`heads.HeadReader`).
        """
        if self._token == _UNREAD:
            self._token = _bearer_token(self.all(b"authorization"))
        return self._token


def _bearer_token(values: list[bytes]) -> str | None:
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    text = token.lstrip(b" ").decode("latin-1")
    visible = text.isascii() and text.isprintable() and " " not in text
    return text if text and visible and scheme.lower() == b"bearer" else None


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request with its whole body; ``query`` is what follows ``?``, still encoded.

    ``trail`` is where those who handle it leave word of what they learn. ``has_hung_up`` tells
    whether its client has closed its side of the connection; the lane beside the fast one cannot
    tell, and says no.
    """

    method: str
    path: str
    query: bytes
    headers: Headers
    body: bytes
    request_id: str
    trail: Trail = msgspec.field(default_factory=Trail)
    has_hung_up: Callable[[], bool] = never


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """One response; ``X-Request-Id``, ``Date`` and the framing are added by the server."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
