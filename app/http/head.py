"""The head of a request, read strictly: what two servers could take for two things is refused.

Both lanes ask here before anything else, so that they refuse the same. llhttp (Node's parser, by
`httptools`) reads the head; what it is known to let pass is refused beside it: a second empty
line or space, an absolute target, other protocols' names, a length given twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import httptools

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
"""Methods that no path has and after which a connection is closed: tunnels and echoes."""

TOO_SHORT: Final = "the request ended before it was complete"
"""What is wrong with a request whose client sends no more."""

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Z]{1,32}) ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
_ANY_VERSION = re.compile(rb"[^\x00-\x20]+ [\x21-\x7e]+ HTTP/[0-9]\.[0-9]\r\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
# RFC 9110, 4.2 and RFC 3986, 3.2.2: a name or an address, and perhaps a port; it may be empty.
_HOST = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=%]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII
)
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_CODING = b"transfer-encoding"
_CONTROLS = 0x21
"""A request begins with a visible character; TLS, for one, does not."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How large a head may be: all its bytes, those of its target, and its header lines.

    And how large the body that it announces; trailers may be as large as a head.
    """

    bytes_max: int
    target_bytes_max: int
    headers_max: int
    body_bytes_max: int

    @classmethod
    def of(cls, settings: HttpSettings) -> HeadLimits:
        """Give those of the settings."""
        return cls(
            settings.max_header_bytes,
            settings.max_target_bytes,
            settings.headers_max,
            settings.max_body_bytes,
        )


class Head:
    """The head of one request.

    ``length`` is of the body in bytes, None where it comes in chunks. ``path`` is what stands
    before the ``?`` of the target, as `path_of` gives it, and ``query`` what follows it, not
    decoded.
    """

    __slots__ = (
        "expects_continue",
        "fields",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "target",
        "version",
    )

    def __init__(
        self, method: bytes, target: bytes, version: bytes, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.method = method.decode("ascii")
        self.target = target
        path, _, self.query = target.partition(b"?")
        self.path = path_of(path) if b"%" in path else path.decode("ascii")
        self.version = version
        self.fields = fields = Headers(headers)
        self.length: int | None = 0
        self.expects_continue = False
        self.keep_alive = version == b"1.1"
        connection = fields.all(b"connection")
        if connection and self.keep_alive:
            self.keep_alive = not _has_token(connection, b"close")

    def with_one(self, name: bytes, value: bytes) -> Head:
        """Give the same head with one header's only value replaced; none that is read here."""
        other: Head = Head.__new__(Head)
        other.method = self.method
        other.target = self.target
        other.path = self.path
        other.query = self.query
        other.version = self.version
        other.fields = self.fields.with_one(name, value)
        other.length = self.length
        other.expects_continue = self.expects_continue
        other.keep_alive = self.keep_alive
        return other


def path_of(raw: bytes) -> str:
    """Decode a path for finding its route.

    One with an encoded slash is left as it came, and so found nowhere: such a slash separates
    nothing (RFC 3986, 2.2), but whoever stands in front may take it for one, or not.
    """
    path = raw.decode("ascii")
    return path if _ENCODED_SLASH.search(raw) is not None else unquote(path)


class _Collector:
    """Takes down the headers that llhttp finds."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip(b" \t")))


def check_begun(raw: bytes, limits: HeadLimits) -> None:
    """Check a head of which a part has come; what is wrong already is not waited for.

    Raises:
        MalformedRequest, HeadersTooLarge: it cannot become one that is served.
    """
    if raw[0] < _CONTROLS or _BARE_LF.search(raw) is not None:
        raise MalformedRequest("this is not HTTP/1.1")
    if len(raw) > limits.bytes_max:
        raise _too_large(limits)


def parse_head(raw: bytes, limits: HeadLimits) -> Head:
    """Read a whole head, from the request line to the empty line at its end.

    Raises:
        HttpError: it is not to be served; the connection is of no use any more.
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
    head = Head(method, target, b"1." + minor, collector.headers)
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
        pass  # It would hand over to another protocol here; nobody speaks any.
    except httptools.HttpParserInvalidMethodError:
        if method == b"GET":
            raise MalformedRequest("this is not HTTP/1.1") from None
        # It knows some methods only. Whether the path has this one is the router's to say.
        return _collect(b"GET" + raw[len(method) :], b"GET")
    except httptools.HttpParserError:
        # A coding that it does not know is an error like any other for it.
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
    """Work out how the body is framed, in the one way that nobody can read otherwise."""
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
    """Whether a header that is a list has an element, in whatever case."""
    return any(part.strip().lower() == token for value in values for part in value.split(b","))


def _as_1_1(raw: bytes) -> bytes:
    """Give a request line as it would be in HTTP/1.1."""
    line, _, _ = raw.partition(b"\r\n")
    return line[:-3] + b"1.1\r\n"


def _too_large(limits: HeadLimits) -> HttpError:
    return HeadersTooLarge(
        f"the request line and headers may have at most {limits.bytes_max} bytes"
    )
