"""Requests and responses independent of any front: no Quart, no ASGI, no socket."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from app.http.trail import Trail

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON_TYPE = b"application/json"
"""The media type of every answer that is not a problem."""

PROBLEM_TYPE = b"application/problem+json"
"""The media type of every problem (RFC 9457)."""

NO_CONTENT = 204
"""The status of an answer without a body, and without ``Content-Length``."""

NOT_MODIFIED = 304
"""The status if the client's copy is current: the body is not sent, only its length."""


def never() -> bool:
    """Return False: the default where nothing can detect that a client has hung up."""
    return False


_UNREAD = ""
"""Marks a token that was not read yet; no token is empty."""

_JSON_CHARSET: Final = re.compile(rb'\s*charset\s*=\s*"?utf-?8"?\s*', re.IGNORECASE)
_CURL_DEFAULT: Final = b"application/x-www-form-urlencoded"


class Headers:
    """A request's headers by lower-case name; a name may have come more than once."""

    __slots__ = ("_not_json", "_token", "_values")

    def __init__(self, items: Iterable[tuple[bytes, bytes]]) -> None:
        values: dict[bytes, list[bytes]] = {}
        for name, value in items:
            if name in values:
                values[name].append(value)
            else:
                values[name] = [value]
        self._values = values
        self._token: str | None = _UNREAD
        self._not_json: str | None = None

    def items(self) -> list[tuple[bytes, bytes]]:
        """Return every header, those of one name together."""
        return [(name, value) for name, values in self._values.items() for value in values]

    def with_own(self, token: bytes | None, key: bytes | None) -> Headers:
        """Return the headers with another bearer token, and another idempotency key.

        Of visible ASCII characters; None leaves that header as it is.
        """
        other: Headers = Headers.__new__(Headers)
        values = other._values = self._values.copy()
        other._token = self._token
        other._not_json = self._not_json
        if token is not None:
            values[b"authorization"] = [b"Bearer " + token]
            other._token = token.decode("ascii")
        if key is not None:
            values[b"idempotency-key"] = [key]
        return other

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of a header, in order; empty if it is absent."""
        return self._values.get(name, [])

    def bearer_token(self) -> str | None:
        """Return the token of the one ``Authorization`` header, if it is a bearer token.

        The result is cached: players send the same headers repeatedly (`heads.HeadReader`).
        """
        if self._token == _UNREAD:
            self._token = _bearer_token(self.all(b"authorization"))
        return self._token

    def why_not_json(self) -> str:
        """Return why the body cannot be read as JSON, by its labels; empty if it can be.

        JSON is accepted, and bodies without a meaningful media type: ``curl -d`` labels anything
        it sends a form, which means nothing either. Cookies do not authenticate here, so a form on
        another site's page cannot act for anybody. The result is cached, as the token is.
        """
        if self._not_json is None:
            self._not_json = _why_not_json(self)
        return self._not_json


def _why_not_json(headers: Headers) -> str:
    for coding in headers.all(b"content-encoding"):
        if coding.strip().lower() != b"identity":
            return "the body must not be compressed"
    for value in headers.all(b"content-type"):
        media_type, _, options = value.partition(b";")
        if media_type.strip().lower() == _CURL_DEFAULT:
            continue
        charset = not options.strip() or _JSON_CHARSET.fullmatch(options) is not None
        if media_type.strip().lower() != JSON_TYPE or not charset:
            return "send the body with Content-Type: application/json"
    return ""


def _bearer_token(values: list[bytes]) -> str | None:
    if len(values) != 1:
        return None
    scheme, _, token = values[0].partition(b" ")
    text = token.lstrip(b" ").decode("latin-1")
    visible = text.isascii() and text.isprintable() and " " not in text
    return text if text and visible and scheme.lower() == b"bearer" else None


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request with its whole body; ``query`` is what follows ``?``, still encoded.

    ``trail`` collects what each part learns while handling it. ``has_hung_up`` says whether the
    client has closed its side of the connection; only the fast lane can tell.
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
