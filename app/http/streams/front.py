"""One open stream on one connection, from the checks to the end; the wire is a subclass's.

It stands where Hypercorn's own stream stands between the protocol of a connection and the
application. A stream runs as one task of its connection; whatever ends the connection ends it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import trio
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed

from actors.authx.errors import InvalidToken
from app.http.edge import REQUEST_ID, request_id_of
from app.http.errors import FieldError, InvalidRequest, MethodNotAllowed, ServerStopping
from app.http.exchange import Headers, HttpRequest
from app.http.pipeline import bearer_token, bind
from app.http.problems import problem_of
from app.http.streams.translate import BYE, end_of
from app.http.trail import Trail
from app.http.types.inventory import INTEGER_MAX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import h11
    from hypercorn.protocol.events import Event

    from actors.authx.messages import Identity
    from app.http.endpoint import Endpoint
    from app.http.exchange import HttpResponse
    from app.http.streams.follow import Follower
    from app.http.streams.registry import Streams
    from app.http.streams.translate import WireEvent

STREAM_ID: Final = 1
"""The number of the one stream that an HTTP/1.1 connection carries at a time."""

BYE_S: Final = 0.2
"""How long saying goodbye may take when the server stops."""

_EVENT_ID = re.compile(rb"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Admission:
    """Who follows, with which token, and after which event."""

    identity: Identity
    token: str
    after: int | None


class StreamFront(ABC):
    """Serves one request for a stream; see the module."""

    endpoint: ClassVar[Endpoint]

    def __init__(
        self,
        streams: Streams,
        request: h11.Request,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._streams = streams
        self._request: h11.Request | None = request
        self._send = send
        self._request_id = request_id_of(request.headers)
        self._scope = trio.CancelScope()
        self._begun = False
        self._closed = False
        self.draining = False

    async def handle(self, event: Event) -> None:
        """Take what the connection says: the end of it, or what the client goes on to send."""
        if isinstance(event, StreamClosed):
            self._closed = True
            self.stop()
        elif not self._closed:
            await self.received(event)

    def drain(self) -> None:
        """End the stream at once, with a goodbye (the server shuts down)."""
        self.draining = True
        self.stop()

    def stop(self) -> None:
        """End the stream at once, without a word."""
        self._scope.cancel()

    async def run(self) -> None:
        """Serve until the session, the client or the server ends it."""
        with self._scope:
            await self._serve()
        if self.draining and not self._closed:
            with trio.move_on_after(BYE_S):
                await self._say_bye()
        if not self._closed:
            await self._send(StreamClosed(stream_id=STREAM_ID))

    async def _serve(self) -> None:
        try:
            admission = await self.admit()
            with self._streams.following(
                admission.identity, admission.token, admission.after
            ) as follower:
                await self._tell_first(follower)
                ending = await follower.follow(self)
            await self.end(end_of(ending))
        # The edge of the program: nothing that a request causes may pass.
        except Exception as error:  # noqa: BLE001
            await self.failed(error)

    async def _tell_first(self, follower: Follower) -> None:
        # Apart from the rest, so that what was told first is not kept as long as the stream is.
        events = await follower.begin()
        await self.begin()
        await self.tell(events)

    async def failed(self, error: Exception) -> None:
        """Answer with the problem, or end the stream where it has begun."""
        response = self.refusal(error)
        if not self._begun:
            await self.answer(response)
        else:
            await self.end(None)

    def refusal(self, error: Exception) -> HttpResponse:
        """Give the problem that an error is, and log it where nobody foresaw it."""
        return self._streams.pipeline.refuse(error, self._request_id)

    async def _say_bye(self) -> None:
        if self._begun:
            await self.end(end_of(BYE))
        else:
            await self.answer(problem_of(ServerStopping()).response())

    # ------------------------------------------------------------- checking

    def take_request(self) -> h11.Request:
        """Give the request, once: its headers need not be kept."""
        request, self._request = self._request, None
        if request is None:
            raise LookupError("the request was taken before")
        return request

    async def check(
        self, request: h11.Request, headers: Headers, after: int | None = None
    ) -> Admission:
        """Check a request as any other; ``after`` goes before what the request says.

        Raises whatever it is to be refused with.
        """
        path, _, query = request.target.partition(b"?")
        http_request = HttpRequest(
            request.method.decode("ascii"),
            path.decode("latin-1"),
            query,
            headers,
            b"",
            self._request_id,
            Trail(self._request_id, route=self.endpoint.path),
        )
        if http_request.method != self.endpoint.method:
            raise MethodNotAllowed((self.endpoint.method,))
        bound = bind(self.endpoint)
        call = await self._streams.pipeline.admit(bound, http_request, {})
        token = bearer_token(headers)
        if token is None:
            raise InvalidToken("no bearer token")
        resumed = last_event_id(headers)
        asked: int | None = await self.endpoint.handler(call)
        for position in (after, resumed, asked):
            if position is not None:
                return Admission(call.caller, token, position)
        return Admission(call.caller, token, None)

    # ------------------------------------------------------------- the wire

    async def answer(self, response: HttpResponse) -> None:
        """Answer the request as one that is not a stream."""
        headers = [
            *response.headers,
            (b"content-length", str(len(response.body)).encode("ascii")),
        ]
        await self.start(response.status, headers)
        await self._send(Body(stream_id=STREAM_ID, data=response.body))
        await self._send(EndBody(stream_id=STREAM_ID))

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the head of the answer."""
        self._begun = True
        whole = [*headers, (REQUEST_ID, self._request_id.encode("ascii"))]
        await self._send(Response(stream_id=STREAM_ID, headers=whole, status_code=status))

    @abstractmethod
    async def received(self, event: Event) -> None:
        """Take what the client sends beside its request."""

    @abstractmethod
    async def admit(self) -> Admission:
        """Check who it is; raises whatever the request is to be refused with."""

    @abstractmethod
    async def begin(self) -> None:
        """Say that the stream begins."""

    @abstractmethod
    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events; waits until the client has taken them."""

    @abstractmethod
    async def beat(self) -> None:
        """Send a sign of life."""

    @abstractmethod
    async def end(self, last: WireEvent | None) -> None:
        """Send what comes last, and end the stream."""


def last_event_id(headers: Headers) -> int | None:
    """Read the ``Last-Event-ID`` header; an empty one says nothing.

    Raises:
        InvalidRequest: it is not one that this server has given.
    """
    values = [value for value in headers.all(b"last-event-id") if value]
    if not values:
        return None
    if len(values) > 1 or _EVENT_ID.fullmatch(values[0]) is None or int(values[0]) > INTEGER_MAX:
        raise InvalidRequest(FieldError("Last-Event-ID", "not the id of an event"))
    return int(values[0])


def headers_of(request: h11.Request) -> Headers:
    """Give a request's headers by name."""
    items: Any = request.headers
    return Headers(items)
