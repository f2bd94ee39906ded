"""One connection of the fast lane: requests in, answers out, in the connection's own task.

There is one cancel scope for the whole connection, one more while it waits for a body, and no
timer: the server calls `check` periodically, which ends an overdue connection. Sockets are used
directly: a request costs one wait, one receive and one send.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from app.http.cancellation import split_failure
from app.http.direct.body import new_body
from app.http.direct.render import CONTINUE
from app.http.direct.wire import ClientSocket
from app.http.edge import request_id_of
from app.http.errors import BodyTimeout, HttpError, MalformedRequest, TooManyBodyBytes
from app.http.exchange import HttpRequest
from app.http.head import HEAD_END, NEVER_SERVED, TOO_SHORT, check_begun
from app.http.streams.front import StreamRequest
from app.http.streams.takeover import take_over
from app.http.streams.wire import ClientGone
from app.http.trail import Trail

if TYPE_CHECKING:
    import socket

    from app.http.bodies import BodyRoom
    from app.http.direct.body import Body
    from app.http.direct.lane import Lane
    from app.http.edge import Edge
    from app.http.exchange import HttpResponse
    from app.http.head import Head
    from app.http.streams.front import StreamFront

GONE_AFTER_S: Final = 0.1
"""How long a request is in flight before `check` looks for a reset by its client."""

TURNS_MAX: Final = 4
"""How many pipelined requests are answered before other connections get their turn."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """The rest of the connection is an event stream."""

    front: type[StreamFront]
    request: StreamRequest


class DirectConnection:
    """One client's connection, from accept to close."""

    __slots__ = (
        "_aborted",
        "_answered_in_a_row",
        "_body_bytes",
        "_body_scope",
        "_client",
        "_due",
        "_ended",
        "_events",
        "_head_begun",
        "_idle",
        "_in_hand_since",
        "_lane",
        "_scope",
        "_wire",
    )

    def __init__(self, sock: socket.socket, lane: Lane, client: str, begin_by: float) -> None:
        """Serve a connected, non-blocking socket, and own it.

        The client may stay silent until ``begin_by``, a time of Trio's clock.
        """
        self._wire = ClientSocket(sock, lane.send_s, lane.log)
        self._lane = lane
        self._client = client
        self._scope = trio.CancelScope()
        self._body_scope: trio.CancelScope | None = None
        self._body_bytes = 0
        self._due = begin_by
        self._in_hand_since = inf
        self._idle = True
        self._head_begun = False
        self._aborted = self._ended = False
        self._answered_in_a_row = 0
        self._events: StreamFront | None = None

    # ------------------------------------------------- called from elsewhere

    def check(self, now: float) -> None:
        """End the connection if it is overdue at the time ``now`` of Trio's clock; never waits."""
        if now >= self._due:
            if self._body_scope is None:
                self._end()
            else:
                self._body_scope.cancel()
        elif now - self._in_hand_since > GONE_AFTER_S and self._wire.was_reset():
            # The answer has no reader. What the request has sent to an actor still takes effect.
            self._aborted = True
            self._end()

    def drain(self) -> None:
        """Finish the request in flight, if there is one, then close (the server shuts down)."""
        lingered = self._wire.hurry()
        if self._events is not None:
            self._events.drain()
        elif self._idle and not lingered:
            self._end()

    def abort(self) -> None:
        """Close at once with a reset, whatever is in progress."""
        self._aborted = True
        if self._events is not None:
            self._events.cut()
        self._end()
        self._wire.abort()

    @property
    def cut_off(self) -> bool:
        """Whether it ended with a reset."""
        return self._wire.was_cut_off

    def _end(self) -> None:
        self._ended = True
        self._scope.cancel()

    # ----------------------------------------------------------- from inside

    async def serve(self) -> None:
        """Serve the connection until either side closes it; raises only cancellations."""
        try:
            await self._serve()
        # One connection's failure affects no other.
        except Exception as error:  # noqa: BLE001
            self._failed(error)
        except BaseExceptionGroup as group:
            failed, cancelled = split_failure(group)
            self._failed(failed)
            raise cancelled from None
        finally:
            self._wire.close()

    async def _serve(self) -> None:
        following: _Stream | None = None
        with self._scope:
            following = await self._answer_requests()
        self._due = self._in_hand_since = inf
        if self._aborted:
            self._wire.reset()
        elif following is not None:
            await self._follow(following)

    async def _answer_requests(self) -> _Stream | None:
        """Answer one request after another; return the stream that one of them requests."""
        lane = self._lane
        data = b""
        while not lane.stopping:
            raw, end, rest = data.partition(HEAD_END)
            if not end:
                self._answered_in_a_row = 0
                more = await (self._receive_head(data) if data else self._wire.receive())
                # Told to end as this arrived: a request must not be begun that is not answered.
                if not more or self._ended:
                    return None
                data += more
                continue
            self._idle = False
            try:
                head = lane.heads.read(raw + end)
            except HttpError as fault:
                await self._refuse(fault, data)
                return None
            front = lane.fronts.get(head.path)
            if front is not None:
                request = StreamRequest(
                    head.method,
                    head.target,
                    head.version,
                    head.fields,
                    request_id_of(head.fields),
                    client=self._client,
                    early=rest,
                )
                return _Stream(front, request)
            data = raw = b""  # So as not to hold them twice while waiting for the rest of a body.
            left = await self._answer(lane.edge, head, rest)
            if left is None:
                return None
            data = left
            self._idle = True
        return None

    async def _receive_head(self, begun: bytes) -> bytes:
        """Receive more of a head, of which ``begun`` has arrived; empty at the end of input."""
        if not self._head_begun:
            self._head_begun = True
            self._due = trio.current_time() + self._lane.head_s
        try:
            check_begun(begun, self._lane.heads.limits)
        except HttpError as fault:
            await self._refuse(fault, begun)
            return b""
        more = await self._wire.receive()
        if not more:
            await self._refuse(MalformedRequest(TOO_SHORT), begun)
        return more

    async def _answer(self, edge: Edge, head: Head, rest: bytes) -> bytes | None:
        """Answer one request; return what follows it, or None if the connection ends with it."""
        begun = trio.current_time()
        self._due = inf  # Receiving the rest of a body, and sending, have their own deadlines.
        fields, origins = head.fields, edge.policy.origins
        client = edge.gate.client_of(self._client, fields)
        trail = Trail(request_id_of(fields), head.method, head.path, client)
        left: bytes | None = rest
        try:
            preflight = edge.policy.preflight(head.method, fields) if origins else None
            if preflight is not None:
                edge.gate.arrive(client)
                left = self._skip_body(head, rest)
                response = edge.respond(preflight, fields, trail, begun)
            else:
                route, values = edge.arrive(trail)
                body, length = b"", head.length
                if length and length <= min(len(rest), self._lane.uncounted_bytes):
                    # It came with its head, as for nearly every command.
                    body, left = rest[:length], rest[length:]
                elif length != 0:
                    body, left = await self._receive_body(edge.gate.bodies, head, rest)
                self._in_hand_since = begun
                request = HttpRequest(
                    head.method,
                    head.path,
                    head.query,
                    fields,
                    body,
                    trail.request_id,
                    trail,
                    self._wire.has_hung_up,
                )
                response = await edge.answer(route, request, values, begun)
                self._in_hand_since = inf
                del body, request  # The answer may take a while to send.
        except HttpError as fault:
            response = edge.refuse(fault, fields, trail, begun)
            left = None if isinstance(fault, TooManyBodyBytes) else self._skip_body(head, rest)
        finally:
            if self._body_bytes:
                edge.gate.bodies.give_back(self._body_bytes)
                self._body_bytes = 0
        if origins:
            sharing = edge.policy.sharing(fields)
            response = msgspec.structs.replace(response, headers=(*response.headers, *sharing))
        return await self._conclude(
            response, head, trail.request_id, left, now=begun + trail.seconds
        )

    async def _conclude(
        self,
        response: HttpResponse,
        head: Head,
        request_id: str,
        left: bytes | None,
        *,
        now: float,
    ) -> bytes | None:
        """Send an answer; return ``left``, or None if the connection ends.

        ``left`` is what follows the request, None if a part of its body has not arrived.
        """
        lane = self._lane
        in_a_row = self._answered_in_a_row = self._answered_in_a_row + 1
        close = (
            left is None
            or not head.keep_alive
            or lane.stopping
            or in_a_row >= lane.settings.pipelined_max
            or head.method in NEVER_SERVED
        )
        sent = await self._wire.send(
            lane.renderer.render(response, request_id, close=close, with_body=head.method != "HEAD")
        )
        if close or not sent:
            # A client that means to go on may have sent more already, which is not here yet.
            if sent and (left != b"" or (head.keep_alive and not lane.stopping)):
                await self._wire.linger()
            return None
        self._head_begun = False
        self._due = now + lane.keep_alive_s
        if left and not in_a_row % TURNS_MAX:
            await trio.lowlevel.checkpoint()
        return left

    def _skip_body(self, head: Head, data: bytes) -> bytes | None:
        """Skip the body of a request that is answered without it; return what follows.

        None if it has not arrived completely: then what follows cannot be told apart.
        """
        try:
            return new_body(head.length, self._lane.settings).feed(data)
        except HttpError:
            return None

    async def _receive_body(self, room: BodyRoom, head: Head, data: bytes) -> tuple[bytes, bytes]:
        """Receive a request's body; return it and what follows it.

        Raises:
            PayloadTooLarge, MalformedRequest, HeadersTooLarge: it is refused, or ends before it
                is complete.
            BodyTimeout: it does not arrive in time.
            TooManyBodyBytes: there is no room for it.
        """
        body = new_body(head.length, self._lane.settings)
        rest = body.feed(data)
        self._body_bytes = room.take(0, body.size)
        if rest is None:
            if head.expects_continue and not data:
                await self._wire.send(CONTINUE)
            rest = await self._receive_rest(room, body)
        return body.value(), rest

    async def _receive_rest(self, room: BodyRoom, body: Body) -> bytes:
        rest: bytes | None = None
        self._due = trio.current_time() + self._lane.body_s
        try:
            with trio.CancelScope() as self._body_scope:
                while rest is None:
                    more = await self._wire.receive()
                    if not more:
                        raise MalformedRequest(TOO_SHORT)
                    rest = body.feed(more)
                    self._body_bytes = room.take(self._body_bytes, body.size)
        finally:
            self._body_scope = None
            self._due = inf
        if rest is None:
            limit = self._lane.settings.body_timeout_ms
            raise BodyTimeout(f"the body did not arrive within {limit} ms")
        return rest

    # ------------------------------------------------------------ what follows

    async def _follow(self, stream: _Stream) -> None:
        """Serve an event stream on what was an HTTP connection, until it ends."""
        lane = self._lane
        if lane.streams is None:  # pragma: no cover - there would be no stream to follow
            return
        events = self._events = take_over(
            lane.streams,
            self._wire.stream(),
            stream.front,
            stream.request,
            settings=lane.settings,
            log=lane.log,
        )
        del stream
        if lane.stopping:
            events.drain()
        try:
            await events.run()
        except ClientGone:
            self._aborted = True
            self._wire.reset()
        self._events = None
        if events.input_left and not self._aborted:
            await self._wire.linger()

    # ----------------------------------------------------------------- the wire

    async def _refuse(self, error: HttpError, head: bytes) -> None:
        """Answer a head that cannot be served, or a part of one, and close."""
        self._due = inf
        if await self._wire.send(self._lane.refusals.answer(error, head, self._client)):
            await self._wire.linger()

    def _failed(self, error: Exception) -> None:
        self._lane.log.error("connection_failed", exc_info=error)
