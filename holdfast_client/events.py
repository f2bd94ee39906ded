"""The events of an account as they happen: reconnects and resumes without loss or duplicates."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

import anyio
import httpx
import msgspec

from holdfast_client.connection import bearer
from holdfast_client.errors import (
    DeadlineExceeded,
    HoldfastError,
    NoAnswer,
    Unauthorized,
    UnexpectedAnswer,
)
from holdfast_client.operations import EVENTS
from holdfast_client.retry import may_repeat
from holdfast_client.shapes import decoded
from holdfast_client.sse import Parser, TooLong
from holdfast_client.types.events import Event, EventData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from holdfast_client.connection import Connection
    from holdfast_client.credentials import Credentials
    from holdfast_client.sse import Message

SILENCE_S: Final = 45.0
"""A server sends a heartbeat at least every 20 s: after this much silence it counts as gone."""

LASTING_S: Final = 1.0
"""A connection that delivered something and lasted this long does not count as failed."""

_CLOSE_S: Final = 1.0
_CONTENT_TYPE: Final = "text/event-stream"


class End(Enum):
    """How a server ends a stream, by the name of its last event."""

    SESSION_ENDED = "session-ended"
    TOKEN_EXPIRED = "token-expired"  # noqa: S105 - the name of an event
    BYE = "bye"


class EventStream:
    """An account's events (`Session.events`): an async context manager, and an async iterator.

    If a connection ends, fails or is silent for ``silence_s``, or its token expires, the stream
    reconnects and resumes after the last event returned. It gives up after ``patience_s`` (seconds)
    without a connection, or with none that delivered an event or lasted. Two tasks must not read it
    at once. A cancelled read loses nothing: the stream can still be read.
    """

    def __init__(
        self,
        connection: Connection,
        credentials: Credentials,
        *,
        after: int | None = None,
        patience_s: float = 300.0,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._connection = connection
        self._credentials = credentials
        self._patience_s = patience_s
        self._silence_s = silence_s
        self._received: int | None = after
        self._given: int | None = after
        self._waiting: deque[Event] = deque()
        self._wire: _Wire | None = None
        self._ended = False
        self._failures = 0
        self._failing_since = 0.0

    @property
    def last_id(self) -> int | None:
        """The id of the last event returned, from which another stream can resume."""
        return self._given

    async def __aenter__(self) -> Self:
        """Connect once, to find out whether the stream is available.

        Raises:
            Unauthorized: the session has ended.
            NoAnswer, Problem, UnexpectedAnswer: it is not available now.
        """
        self._wire = await self._connect()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        await self._hang_up()

    def __aiter__(self) -> EventStream:
        """Return the stream itself."""
        return self

    async def __anext__(self) -> Event:
        """Return the next event, however long it takes.

        Raises:
            StopAsyncIteration: the session has ended.
            NoAnswer, Problem, UnexpectedAnswer: the server could not be reached for
                ``patience_s``, or it refuses for good.
        """
        while not self._waiting:
            if self._ended:
                raise StopAsyncIteration
            try:
                await self._receive()
            except Unauthorized:
                self._ended = True
            except HoldfastError as failure:
                await self._hang_up()
                await self._pause(failure)
        event = self._waiting.popleft()
        self._given = event.id
        return event

    async def _receive(self) -> None:
        """Wait for a piece of the stream and collect its events."""
        if self._wire is not None and self._wire.interrupted:
            await self._hang_up()
        if self._wire is None:
            self._wire = await self._connect()
        for message in await self._wire.read(self._silence_s):
            end = _END.get(message.name)
            if end is None and message.last_id in {"", str(self._received)}:
                continue  # not a ledger entry: something that later servers send
            if end is None:
                event = _event(message)
                self._received = event.id
                self._waiting.append(event)
                self._failures = 0
            elif end is End.SESSION_ENDED:
                self._ended = True
            elif end is End.TOKEN_EXPIRED:
                await self._hang_up()
                await self._credentials.renew(self._credentials.tokens.access_token)
                return
            else:
                raise NoAnswer("the server stops", sent=True)

    async def _connect(self) -> _Wire:
        token = await self._credentials.access_token()
        try:
            return _Wire(await self._open(token))
        except Unauthorized:
            if not self._credentials.renewable:
                raise
        await self._credentials.renew(token)
        return _Wire(await self._open(self._credentials.tokens.access_token))

    async def _open(self, token: str) -> httpx.Response:
        headers = {
            **bearer(token),
            "Accept": _CONTENT_TYPE,
            "Accept-Encoding": "identity",
        }
        if self._received is not None:
            headers["Last-Event-ID"] = str(self._received)
        response = await self._connection.open_stream(EVENTS, headers)
        type_ = response.headers.get("Content-Type", "")
        if type_.partition(";")[0].strip().lower() != _CONTENT_TYPE:
            await response.aclose()
            told = f"was answered with {type_ or 'no type'} instead of {_CONTENT_TYPE}"
            raise UnexpectedAnswer(f"GET {EVENTS.path} {told}", status=response.status_code)
        return response

    async def _pause(self, failure: HoldfastError) -> None:
        """Wait before the next attempt; raise ``failure`` if there must be none."""
        now = anyio.current_time()
        if self._failures == 0:
            self._failing_since = now
        self._failures += 1
        wait_s = self._connection.wait_s(self._failures, failure)
        if not may_repeat(failure, EVENTS.repeat) or (
            now + wait_s > self._failing_since + self._patience_s
        ):
            self._failures = 0
            raise failure
        await anyio.sleep(wait_s)

    async def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            if wire.lasted:
                self._failures = 0
            await wire.aclose()


class _Wire:
    """One connection of a stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._pieces: AsyncIterator[bytes] = response.aiter_raw()
        self._parser = Parser()
        self._opened_at = anyio.current_time()
        self._brought = False
        self.interrupted = False
        """Whether a read was cancelled, which ends the connection, but is no server failure."""

    @property
    def lasted(self) -> bool:
        """Whether it delivered something and was not cut off at once, as some proxies do."""
        return self._brought and anyio.current_time() - self._opened_at >= LASTING_S

    async def read(self, silence_s: float) -> list[Message]:
        """Return the messages that the next piece completes, perhaps none.

        Raises:
            NoAnswer: the connection has ended, failed or fallen silent.
            UnexpectedAnswer: it is not an event stream.
        """
        piece: bytes | None = None
        try:
            with anyio.move_on_after(silence_s):
                piece = await anext(self._pieces)
        except (StopAsyncIteration, httpx.HTTPError, httpx.StreamError):
            raise NoAnswer("the event stream was cut off", sent=True) from None
        except anyio.get_cancelled_exc_class():
            self.interrupted = True
            raise
        if piece is None:
            raise DeadlineExceeded(f"the event stream was silent for {silence_s:g} s")
        self._brought = True
        try:
            return list(self._parser.feed(piece))
        except TooLong as error:
            raise _unexpected(error) from None

    async def aclose(self) -> None:
        """Close it, cancelled or not."""
        # httpx reads through a chain of generators. An exception from the innermost, such as a
        # cancelled read, ends them all; if they are left to the garbage collector, Trio complains.
        with anyio.CancelScope() as scope, suppress(httpx.HTTPError, httpx.StreamError):
            scope.cancel()
            async for _ in self._pieces:
                pass
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
            await self._response.aclose()


_END: Final = MappingProxyType({end.value: end for end in End})


def _event(message: Message) -> Event:
    """Decode an event.

    Raises:
        UnexpectedAnswer: it has no id or not the shape that the API promises.
    """
    try:
        data = decoded(message.data, EventData)
        return Event(id=int(message.last_id), name=message.name, **msgspec.structs.asdict(data))
    except ValueError as error:
        raise _unexpected(error) from None


def _unexpected(error: ValueError) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"GET {EVENTS.path} was answered in an unexpected shape: {error}", status=200
    )
