"""The opening handshake of a WebSocket (RFC 6455, section 4.2), checked strictly.

A fault in one must become an answer to its client, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from wsproto.utilities import generate_accept_token

from app.http.errors import MalformedRequest, UpgradeRequired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.http.exchange import Headers

SUBPROTOCOL: Final = b"holdfast.events"
"""The subprotocol that a client may offer; the server then confirms it."""

TOKEN_SUBPROTOCOL: Final = b"bearer."
"""The prefix of an offered subprotocol that carries the token: browsers cannot set headers."""

VERSION: Final = b"13"
_KEY_BYTES = 16


def check_handshake(headers: Headers, http_version: bytes) -> None:
    """Check everything about an opening handshake except the caller.

    Raises:
        UpgradeRequired: it is not a handshake.
        MalformedRequest: it is a handshake, but not a valid one.
    """
    if b"websocket" not in _tokens(headers, b"upgrade"):
        raise UpgradeRequired("open a WebSocket here: send Upgrade: websocket")
    if http_version != b"1.1" or b"upgrade" not in _tokens(headers, b"connection"):
        raise MalformedRequest("the handshake must be an HTTP/1.1 request with Connection: Upgrade")
    if headers.all(b"sec-websocket-version") != [VERSION]:
        raise UpgradeRequired("this server supports only version 13 of WebSocket")
    keys = headers.all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise MalformedRequest("Sec-WebSocket-Key must be 16 bytes in base64, given once")


def offered_subprotocols(headers: Headers) -> list[bytes]:
    """Return the subprotocols that a client offers, in its order."""
    values = headers.all(b"sec-websocket-protocol")
    return [token.strip() for value in values for token in value.split(b",")]


def offered_token(offered: Sequence[bytes]) -> bytes | None:
    """Find the access token among the subprotocols that a client offers."""
    for each in offered:
        if each.startswith(TOKEN_SUBPROTOCOL):
            return each.removeprefix(TOKEN_SUBPROTOCOL)
    return None


def accepting_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers that accept a checked handshake; an offered token is never repeated."""
    [key] = headers.all(b"sec-websocket-key")
    accepting = [
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-accept", generate_accept_token(key)),
    ]
    if SUBPROTOCOL in offered_subprotocols(headers):
        accepting.append((b"sec-websocket-protocol", SUBPROTOCOL))
    return accepting


def _is_key(text: bytes) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _tokens(headers: Headers, name: bytes) -> set[bytes]:
    """Return the elements of a list header, in lower case."""
    return {token.strip().lower() for value in headers.all(name) for token in value.split(b",")}
