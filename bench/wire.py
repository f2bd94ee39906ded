"""A small HTTP/1.1 client on Trio's own sockets, cheap enough to drive a server hard.

It reads what Holdfast sends: a status, headers, and a body of a stated length.
"""

from __future__ import annotations

import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

_HEAD_END = b"\r\n\r\n"
_HEAD_MAX = 65_536
_PIECE = 65_536


class Broken(Exception):
    """The connection broke before the answer: whether the request took effect is unknown."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; names in ``headers`` are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Decode the body as JSON."""
        return json.loads(self.content)

    @property
    def slug(self) -> str:
        """The kind of problem; empty for any other answer."""
        if not self.headers.get("content-type", "").startswith("application/problem+json"):
            return ""
        slug: str = self.json()["type"]
        return slug.removeprefix("/problems/")


class Connection:
    """One connection, for one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def exchange(self, request: bytes) -> tuple[Response, bool]:
        """Send a request; return the answer, and whether the connection can be used again.

        Raises:
            Broken: it was closed before the answer was complete.
        """
        # If the server has closed its side, it may have sent the answer before.
        with suppress(trio.BrokenResourceError):
            await self._stream.send_all(request)
        try:
            head = await self._head()
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            body = await self._body(int(headers.get("content-length", "0")))
        except trio.BrokenResourceError as error:
            raise Broken(str(error)) from error
        again = headers.get("connection", "").lower() != "close"
        return Response(int(lines[0].split(" ", 2)[1]), headers, body), again

    async def _head(self) -> bytes:
        while True:
            end = self._buffer.find(_HEAD_END)
            if end >= 0:
                head = bytes(self._buffer[:end])
                del self._buffer[: end + len(_HEAD_END)]
                return head
            if len(self._buffer) > _HEAD_MAX:
                raise Broken("the head of the answer never ends")
            await self._more()

    async def _body(self, length: int) -> bytes:
        while len(self._buffer) < length:
            await self._more()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    async def _more(self) -> None:
        piece = await self._stream.receive_some(_PIECE)
        if not piece:
            raise Broken("the server closed the connection")
        self._buffer += piece

    async def aclose(self) -> None:
        """Close it without waiting."""
        await trio.aclose_forcefully(self._stream)


def _accept(_response: Response) -> None:
    """Accept any answer."""


@dataclass
class Client:
    """A client of the server at ``url`` with as many connections as concurrent requests.

    ``check`` is called with every answer and raises if it must never be sent.
    """

    url: str
    timeout_s: float = 30.0
    check: Callable[[Response], None] = _accept
    _idle: deque[Connection] = field(default_factory=deque[Connection])

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            while self._idle:
                await self._idle.pop().aclose()

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        """Read something."""
        return await self.request("GET", path, headers=headers)

    async def post(
        self,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send something, as JSON or as it is."""
        return await self.request("POST", path, json=json, content=content, headers=headers)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send one request and wait for its answer; it is never sent twice.

        Raises:
            Broken: no connection, no answer within ``timeout_s``, or an incomplete one.
        """
        request = _encode(method, path, _body(json, content), headers or {})
        with trio.move_on_after(self.timeout_s):
            response = await self._exchange(request)
            self.check(response)
            return response
        raise Broken(f"no answer within {self.timeout_s:g} s")

    async def _exchange(self, request: bytes) -> Response:
        # In turn, so that none is idle long enough for the server to close it.
        connection = self._idle.popleft() if self._idle else await self._connect()
        again = False
        try:
            response, again = await connection.exchange(request)
        finally:
            if again:
                self._idle.append(connection)
            else:
                await connection.aclose()
        return response

    async def _connect(self) -> Connection:
        address = urlsplit(self.url)
        try:
            stream = await trio.open_tcp_stream(address.hostname or "", address.port or 80)
        except OSError as error:
            raise Broken(f"cannot connect: {error}") from error
        return Connection(stream)


def _body(value: object, content: bytes | None) -> bytes | None:
    if content is not None or value is None:
        return content
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: holdfast"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        if not any(name.lower() == "content-type" for name in headers):
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
