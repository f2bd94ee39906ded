"""One open stream on one connection, from the checks to the end; subclasses define the format.

A connection hands its socket over when a request is for a stream: what served the request until
then is released, and the stream runs in the connection's own task, with nothing beside it. That
makes thousands of them cheap.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, ClassVar, cast

import trio

from app.http.edge import REQUEST_ID
from app.http.errors import (
    FieldError,
    InvalidRequest,
    MalformedRequest,
    MethodNotAllowed,
    ServerStopping,
)
from app.http.exchange import NO_CONTENT, HttpRequest
from app.http.pipeline import bind
from app.http.reasons import reason_of
from app.http.streams.translate import end_of
from app.http.streams.wire import ClientGone
from app.http.trail import Trail
from app.http.types.inventory import INTEGER_MAX
from app.logs import handling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.authx.messages import Identity
    from app.http.endpoint import Endpoint
    from app.http.exchange import Headers, HttpResponse
    from app.http.streams.follow import Follower
    from app.http.streams.registry import Streams
    from app.http.streams.translate import WireEvent
    from app.http.streams.wire import Wire

_EVENT_ID = re.compile(rb"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """A request for a stream, and the data that the client has sent after it."""

    method: str
    target: bytes
    http_version: bytes
    headers: Headers
    request_id: str
    client: str
    early: bytes


@dataclass(frozen=True, slots=True)
class Admission:
    """Who follows, with which token, and after which event."""

    identity: Identity
    token: str
    after: int | None


class StreamOver(Exception):
    """The stream must end without sending anything more."""


class StreamFront(ABC):
    """Serves one request for a stream; see the module.

    Once `run` has returned, ``input_left`` says whether the client may still be sending. Let it
    finish before closing the socket: a reset could destroy what it was sent last.
    """

    __slots__ = (
        "_began_s",
        "_begun",
        "_bell",
        "_draining",
        "_follower",
        "_request",
        "_said",
        "_trail",
        "input_left",
        "streams",
        "wire",
    )

    endpoint: ClassVar[Endpoint]

    def __init__(self, streams: Streams, wire: Wire, request: StreamRequest) -> None:
        self.streams = streams
        self.wire = wire
        self.input_left = False
        self._request: StreamRequest | None = request
        path = self.endpoint.path
        client = streams.gate.client_of(request.client, request.headers)
        self._trail = Trail(request.request_id, request.method, path, client, path)
        self._said = streams.policy.sharing(request.headers)
        self._began_s = trio.current_time()
        self._begun = False
        self._draining = False
        self._follower: Follower | None = None
        self._bell: trio.Event | None = None

    async def run(self) -> None:
        """Serve, once, until the session, the client or the server ends it.

        Raises:
            ClientGone: the client does not read: discard what it has not taken.
        """
        try:
            await self._serve()
        except StreamOver:
            pass
        except ClientGone:
            raise
        # The edge of the program: no error of a request may escape.
        except Exception as error:  # noqa: BLE001
            await self.fail(self.streams.pipeline.refuse(error, self._trail.request_id))
        finally:
            self.wire.forget()

    def drain(self) -> None:
        """End the stream at once, with a goodbye (the server shuts down); never waits."""
        if self._begun:
            self.say_goodbye()
        self.cut()

    def cut(self) -> None:
        """End the stream at once, before its socket is closed; never waits."""
        self._draining = True
        self.input_left = False
        self.wire.forget()
        self._ring()

    async def heed(self) -> None:
        """End if the server stops or the client is gone; process what the client has sent.

        Raises:
            StreamOver, ClientGone: the stream must end.
        """
        if self._draining:
            raise StreamOver
        await self.take(self.wire.receive_nowait())
        self.wire.watch(self._ring)

    async def _serve(self) -> None:
        self.wire.watch(self._ring)
        gate = self.streams.gate
        gate.arrive(self._trail.client)
        if await self._was_preflight():
            return
        counted_as = gate.begin_stream(self._trail.client)
        try:
            admission = await self._admit()
            with self.streams.following(
                admission.identity, admission.token, admission.after
            ) as follower:
                await self._tell_first(follower)
                self._follower = follower
                if self._bell is not None:
                    self._bell = None
                    follower.interrupt()
                ending = await follower.follow(self)
                self._follower = None
            await self.end(end_of(ending))
        finally:
            gate.end_stream(counted_as)

    async def _was_preflight(self) -> bool:
        """Return whether the request was a CORS preflight, which is then answered."""
        request = cast("StreamRequest", self._request)
        preflight = self.streams.policy.preflight(request.method, request.headers)
        if preflight is None:
            self.check_form(request)
            return False
        await self._answer(preflight)
        return True

    async def _admit(self) -> Admission:
        # Do not keep the request's headers for the life of the stream.
        request, self._request = cast("StreamRequest", self._request), None
        return await self.admit(request)

    async def _tell_first(self, follower: Follower) -> None:
        # A separate method, so that the first events are not kept for the life of the stream.
        with self.streams.gate.in_hand():
            events = await follower.begin()
        if self._draining:
            raise ServerStopping
        await self.begin()
        await self.tell(events)

    def _ring(self) -> None:
        """Signal that there is something to heed."""
        if self._follower is not None:
            self._follower.interrupt()
        elif self._bell is None:
            self._bell = trio.Event()
            self._bell.set()
        else:
            self._bell.set()

    async def wait_for_client(self) -> None:
        """Wait until there is something to heed, and heed it; for while there is no follower."""
        if self._bell is None:
            self._bell = trio.Event()
        await self._bell.wait()
        self._bell = None
        await self.heed()

    # ------------------------------------------------------------- checking

    def check_form(self, request: StreamRequest) -> None:
        """Check what can be checked before the caller is authenticated.

        Raises:
            HttpError: the request is refused.
        """
        if request.method != self.endpoint.method:
            raise MethodNotAllowed((self.endpoint.method,))
        headers = request.headers
        if headers.all(b"content-length") not in ([], [b"0"]) or headers.all(b"transfer-encoding"):
            raise MalformedRequest("a request for a stream must not have a body")

    async def check(
        self, request: StreamRequest, headers: Headers, after: int | None = None
    ) -> Admission:
        """Check a request like any other; ``after`` takes precedence over the request's own.

        Raises the error to refuse it with.
        """
        path, _, query = request.target.partition(b"?")
        http_request = HttpRequest(
            self.endpoint.method,
            path.decode("latin-1"),
            query,
            headers,
            b"",
            request.request_id,
            self._trail,
        )
        with self.streams.gate.in_hand():
            call = await self.streams.pipeline.admit(bind(self.endpoint), http_request, {})
        token = headers.bearer_token() or ""  # It was admitted with one.
        resumed = last_event_id(headers)
        asked: int | None = await self.endpoint.handler(call)
        for position in (after, resumed, asked):
            if position is not None:
                return Admission(call.caller, token, position)
        return Admission(call.caller, token, None)

    # ------------------------------------------------------------- the wire

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send the head of the answer; count it, and log it."""
        self._begun = True
        trail, streams = self._trail, self.streams
        trail.status = status
        trail.seconds = trio.current_time() - self._began_s
        streams.instruments.traffic.answered(trail)
        with handling(trail):
            streams.instruments.log_request(streams.log, trail)
        said, self._said = self._said, ()
        whole = (
            *headers,
            *streams.policy.added(tuple(headers)),
            *said,
            (REQUEST_ID, trail.request_id.encode("ascii")),
            (b"date", formatdate(usegmt=True).encode("ascii")),
        )
        lines = [b"HTTP/1.1 %d %s" % (status, reason_of(status))]
        lines += [b"%s: %s" % header for header in whole]
        await self.wire.send(b"\r\n".join([*lines, b"", b""]))

    async def fail(self, problem: HttpResponse) -> None:
        """Answer with a problem if nothing was answered yet; otherwise only end."""
        if not self._begun:
            await self._answer(problem)

    async def _answer(self, response: HttpResponse) -> None:
        """Answer with something other than a stream; the connection ends with it."""
        self.input_left = True
        framing: tuple[tuple[bytes, bytes], ...] = ((b"connection", b"close"),)
        if response.status != NO_CONTENT:
            length = str(len(response.body)).encode("ascii")
            framing = ((b"content-length", length), *framing)
        head_only = self._trail.method == "HEAD"
        await self.start(response.status, (*response.headers, *framing))
        await self.wire.send(b"" if head_only else response.body)

    @abstractmethod
    async def admit(self, request: StreamRequest) -> Admission:
        """Authenticate the caller; raises the error to refuse the request with."""

    @abstractmethod
    async def take(self, data: bytes) -> None:
        """Process what the client has sent."""

    @abstractmethod
    async def begin(self) -> None:
        """Start the stream on the wire."""

    @abstractmethod
    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send events; waits until the client has taken them."""

    @abstractmethod
    async def beat(self) -> None:
        """Send a heartbeat."""

    @abstractmethod
    async def end(self, last: WireEvent) -> None:
        """Send the last event, and end the stream."""

    @abstractmethod
    def say_goodbye(self) -> None:
        """Announce that the server stops, and end the stream, without waiting."""


def last_event_id(headers: Headers) -> int | None:
    """Parse the ``Last-Event-ID`` header; an empty one is ignored.

    Raises:
        InvalidRequest: it cannot be an id from this server.
    """
    values = [value for value in headers.all(b"last-event-id") if value]
    if not values:
        return None
    if len(values) > 1 or _EVENT_ID.fullmatch(values[0]) is None or int(values[0]) > INTEGER_MAX:
        raise InvalidRequest(FieldError("Last-Event-ID", "not the id of an event"))
    return int(values[0])
