"""Parses request heads strictly: anything that two servers could read differently is refused.

Both lanes come here first, so that they refuse the same requests. llhttp (Node's parser, through
`httptools`) reads the head; what it is known to let pass is refused in addition: a second empty
line or space, an absolute target, other protocols' names, a length given twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import httptools
import msgspec

from app.http.errors import (
    HeadersTooLarge,
    HttpError,
    HttpVersionNotSupported,
    MalformedRequest,
    NotImplementedByServer,
    TargetTooLong,
)
from app.http.exchange import Headers

if TYPE_CHECKING:
    from app.http.settings import HttpSettings

HEAD_END: Final = b"\r\n\r\n"
NEVER_SERVED: Final = frozenset({"CONNECT", "TRACE"})
"""Methods that no path has, and after which the connection is closed: tunnels and echoes."""

TOO_SHORT: Final = "the request ended before it was complete"
"""The fault of a request whose client stopped sending too early."""

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_ANY_VERSION = re.compile(rb"[^\x00-\x20]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
# RFC 9110, 4.2 and RFC 3986, 3.2.2: a name or an address, optionally a port; it may be empty.
# With a link-local address clients often name their own interface too (RFC 6874).
_HOST = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+(?:%[A-Za-z0-9\-._~%]+)?\])"
    rb"(?::[0-9]{0,5})?",
    re.ASCII,
)
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_CODING = b"transfer-encoding"
_CONTROLS = 0x21
"""A request begins with a visible character; TLS, for one, does not."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """The limits of a head: all its bytes, those of its target, and its header lines.

    Also the limit of the body that it announces; trailers may be as large as a head.
    """

    bytes_max: int
    target_bytes_max: int
    headers_max: int
    body_bytes_max: int

    @classmethod
    def of(cls, settings: HttpSettings) -> HeadLimits:
        """Return the limits in the settings."""
        return cls(
            settings.max_header_bytes,
            settings.max_target_bytes,
            settings.headers_max,
            settings.max_body_bytes,
        )


class Head(msgspec.Struct, gc=False):
    """The head of one request.

    ``length`` is that of the body in bytes, None if it is chunked. ``path`` is the target before
    the ``?``, decoded by `path_of`; ``query`` is what follows, not decoded.
    """

    method: str
    target: bytes
    path: str
    query: bytes
    version: bytes
    fields: Headers
    keep_alive: bool
    length: int | None = 0
    expects_continue: bool = False

    @classmethod
    def of(
        cls, method: bytes, target: bytes, version: bytes, headers: list[tuple[bytes, bytes]]
    ) -> Head:
        """Return the head of a request without a body."""
        path, _, query = target.partition(b"?")
        fields = Headers(headers)
        keep_alive = version == b"1.1" and not _has_token(fields.all(b"connection"), b"close")
        decoded = path_of(path) if b"%" in path else path.decode("ascii")
        return cls(method.decode("ascii"), target, decoded, query, version, fields, keep_alive)

    def with_own(self, token: bytes | None, key: bytes | None) -> Head:
        """Return the head as another client sends it; see `Headers.with_own`."""
        return msgspec.structs.replace(self, fields=self.fields.with_own(token, key))


def path_of(raw: bytes) -> str:
    """Decode a path for routing.

    A path with an encoded slash is left as it is, and so matches no route: such a slash is not a
    separator (RFC 3986, 2.2), but a proxy in front may or may not take it for one.
    """
    path = raw.decode("ascii")
    return path if _ENCODED_SLASH.search(raw) is not None else unquote(path)


class _Collector:
    """Collects the headers that llhttp finds."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def check_begun(raw: bytes, limits: HeadLimits) -> None:
    """Check a partly received head, so that a fault is refused without waiting for the rest.

    Raises:
        MalformedRequest, HeadersTooLarge: it cannot become a head that is served.
    """
    if raw[0] < _CONTROLS or _BARE_LF.search(raw) is not None:
        raise MalformedRequest("this is not HTTP/1.1")
    if len(raw) > limits.bytes_max:
        raise _too_large(limits)


def parse_head(raw: bytes, limits: HeadLimits) -> Head:
    """Parse a whole head, from the request line to the empty line at its end.

    Raises:
        HttpError: it must not be served; the connection cannot be used any more.
    """
    if len(raw) > limits.bytes_max:
        raise _too_large(limits)
    line = _LINE.match(raw)
    if line is None:
        if _ANY_VERSION.match(raw) is not None and _LINE.match(_as_1_1(raw)) is not None:
            raise HttpVersionNotSupported("this server speaks HTTP/1.0 and HTTP/1.1")
        raise MalformedRequest("this is not HTTP/1.1")
    method, target, minor = line.groups()
    if len(target) > limits.target_bytes_max:
        raise TargetTooLong(f"the request target may have at most {limits.target_bytes_max} bytes")
    collector = _collect(raw, method)
    if len(collector.headers) > limits.headers_max:
        raise HeadersTooLarge(f"a request may have at most {limits.headers_max} headers")
    head = Head.of(method, target, b"1." + minor, collector.headers)
    _check_host(head)
    if target[0] != 0x2F:  # noqa: PLR2004 - a slash
        raise MalformedRequest("the request target must be a path that begins with '/'")
    _frame(head)
    return head


def _collect(raw: bytes, method: bytes) -> _Collector:
    collector = _Collector()
    try:
        httptools.HttpRequestParser(collector).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # An upgrade to another protocol, which is never made here.
    except httptools.HttpParserInvalidMethodError:
        if method == b"GET":
            raise MalformedRequest("this is not HTTP/1.1") from None
        # llhttp knows only some methods. Whether the path has this one is up to the router.
        return _collect(b"GET" + raw[len(method) :], b"GET")
    except httptools.HttpParserError:
        # llhttp does not tell an unknown coding from other errors.
        _check_codings([value for name, value in collector.headers if name == _CODING])
        raise MalformedRequest("this is not HTTP/1.1") from None
    return collector


def _check_host(head: Head) -> None:
    hosts = head.fields.all(b"host")
    if len(hosts) != 1 and (hosts or head.version == b"1.1"):
        raise MalformedRequest("a request must have exactly one Host header")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise MalformedRequest("the Host header is not a valid host")


def _frame(head: Head) -> None:
    """Determine the framing of the body; refuse whatever is ambiguous."""
    lengths = head.fields.all(b"content-length")
    codings = head.fields.all(_CODING)
    if codings:
        if lengths:
            raise MalformedRequest("Content-Length and Transfer-Encoding exclude each other")
        if head.version == b"1.0":
            raise MalformedRequest("HTTP/1.0 has no Transfer-Encoding")
        _check_codings(codings)
        head.length = None
    elif lengths:
        if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
            raise MalformedRequest("Content-Length must be a single number")
        head.length = int(lengths[0])
    else:
        return
    expected = head.fields.all(b"expect")
    if expected and head.version == b"1.1":
        head.expects_continue = _has_token(expected, b"100-continue")


def _check_codings(codings: list[bytes]) -> None:
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise NotImplementedByServer("the only supported transfer coding is chunked")


def _has_token(values: list[bytes], token: bytes) -> bool:
    """Whether a list header has an element, in any case."""
    return any(part.strip().lower() == token for value in values for part in value.split(b","))


def _as_1_1(raw: bytes) -> bytes:
    """Return a request line as it would be in HTTP/1.1."""
    line, _, _ = raw.partition(b"\r\n")
    return line[:-3] + b"1.1\r\n"


def _too_large(limits: HeadLimits) -> HttpError:
    return HeadersTooLarge(
        f"the request line and headers may have at most {limits.bytes_max} bytes"
    )
