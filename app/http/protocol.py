"""HTTP/1.1 by Hypercorn and h11, without the doors that this server does not need.

Closed are Hypercorn's own upgrades to WebSocket and HTTP/2 (a failed WebSocket handshake raises
through its connection), and whatever would let two servers disagree on where a request ends.
What Hypercorn refuses by itself is a problem with a request id, as everything else is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h11
from hypercorn.events import Closed
from hypercorn.protocol.events import Request, Response
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream

from app.http.edge import REQUEST_ID, new_request_id
from app.http.errors import (
    HeadersTooLarge,
    HttpError,
    HttpVersionNotSupported,
    MalformedRequest,
    NotImplementedByServer,
)
from app.http.problems import problem_of
from app.http.streams.front import StreamRequest
from app.http.streams.fronts import front_of, stream_fault

if TYPE_CHECKING:
    from hypercorn.protocol.events import Event

    from app.http.streams.front import StreamFront

HEADERS_TOO_LARGE = 431
NOT_IMPLEMENTED = 501
_CLOSE = (b"connection", b"close")
_VERSIONS = (b"1.0", b"1.1")


class HttpProtocol(H11Protocol):
    """One connection's HTTP, driven by `app.http.connection`.

    A request for an event stream is not served here, where there are ``streams``: it is left in
    ``handover`` for whoever owns the connection, and nothing more is read.
    """

    def __init__(self, *args: Any, streams: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._streams = streams
        self.handover: tuple[type[StreamFront], StreamRequest] | None = None

    @property
    def input_left(self) -> bool:
        """Whether the client may still be sending what nobody will read."""
        return (
            self.connection.their_state in {h11.SEND_BODY, h11.ERROR}
            or self.connection.trailing_data[0] != b""
        )

    @property
    def head_begun(self) -> bool:
        """Whether a part of a request's head has come, but not all of it."""
        return self.connection.their_state is h11.IDLE and self.connection.trailing_data[0] != b""

    async def stream_send(self, event: Event) -> None:
        """Send what the application answers, and say so where it is the last answer.

        It is at shutdown, and where the request's body was not awaited: the rest of it cannot be
        told from a next request.
        """
        if isinstance(event, Response):
            unread = self.connection.their_state is h11.SEND_BODY
            if unread or self.context.terminated.is_set():
                event = replace(event, headers=[*event.headers, _CLOSE])
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Upgrade to nothing."""

    async def _create_stream(self, request: h11.Request) -> None:
        fault = self._fault(request)
        if fault is not None:
            await self._refuse(fault)
            return
        front = front_of(request.target) if self._streams else None
        if front is not None:
            await self._hand_over(front, request)
            return
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.keep_alive_requests += 1
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def _hand_over(self, front: type[StreamFront], request: h11.Request) -> None:
        fault = stream_fault(front, request)
        if fault is not None:
            await self._refuse(fault)
            return
        stream_request = StreamRequest.of(
            request.target,
            request.http_version,
            list(request.headers),
            client=self.client[0] if self.client else "",
            early=self.connection.trailing_data[0],
        )
        self.handover = (front, stream_request)

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what h11 could not parse; Hypercorn closes the connection after it."""
        error: HttpError
        if status_code == HEADERS_TOO_LARGE:
            error = self._too_large()
        elif status_code == NOT_IMPLEMENTED:
            error = NotImplementedByServer("the one transfer coding is chunked")
        else:
            error = MalformedRequest("this is not HTTP/1.1")
        await self._send_problem(error)

    def _fault(self, request: h11.Request) -> HttpError | None:
        """Say why a request that h11 accepts is refused all the same."""
        names = {name for name, _ in request.headers}
        if b"content-length" in names and b"transfer-encoding" in names:
            # Request smuggling: the server in front may go by the length, h11 goes by the chunks.
            return MalformedRequest("Content-Length and Transfer-Encoding exclude each other")
        if request.http_version not in _VERSIONS:
            return HttpVersionNotSupported("this server speaks HTTP/1.0 and HTTP/1.1")
        # h11 applies its limit only to a head that does not come whole.
        size = len(request.target) + sum(len(n) + len(v) + 4 for n, v in request.headers)
        return self._too_large() if size > self.config.h11_max_incomplete_size else None

    def _too_large(self) -> HttpError:
        limit = self.config.h11_max_incomplete_size
        return HeadersTooLarge(f"request line and headers may have {limit} bytes")

    async def _refuse(self, error: HttpError) -> None:
        await self._send_problem(error)
        await self.send(Closed())

    async def _send_problem(self, error: HttpError) -> None:
        response = problem_of(error).response()
        headers = [
            *response.headers,
            (b"content-length", str(len(response.body)).encode("ascii")),
            (REQUEST_ID, new_request_id().encode("ascii")),
            _CLOSE,
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(headers=headers, status_code=response.status))
        await self._send_h11_event(h11.Data(data=response.body))
        await self._send_h11_event(h11.EndOfMessage())
