"""A ledger written by the test, and a server on a real socket whose streams follow it."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from actors.inventory.events import LedgerAdvanced
from actors.inventory.messages import GetEvents
from actors.inventory.views import ChangeView, EventPage, LedgerEntry, StockView
from app.http.edge import make_edge
from app.http.instruments import Instruments
from app.http.server import serve_http
from app.http.streams import Streams, StreamSettings
from bus import Message, Topic
from tests.app.http.harness import (
    ACCOUNT_ID,
    INVENTORY,
    NOW_MS,
    PAGES,
    SETTINGS,
    TABLE,
    TOKEN,
    FakeWorld,
    changed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from wsproto.events import Event as FrameEvent

    from app.http.settings import HttpSettings

WAIT_S = 10.0
HANDSHAKE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)
AUTHORIZED = f"Authorization: Bearer {TOKEN}"


def entry(
    seq: int, cause: str = "grant", *, full: tuple[str, ...] = (), **changes: tuple[int, int]
) -> LedgerEntry:
    """Make a ledger entry of some changes: name=(delta, balance)."""
    views = {name: ChangeView(*change) for name, change in changes.items()}
    return LedgerEntry(seq, NOW_MS + seq, cause, changes=views, full=full)


@dataclass
class Ledger:
    """The account's ledger as its Inventory would report it; a test writes it."""

    world: FakeWorld
    entries: list[LedgerEntry] = field(default_factory=list[LedgerEntry])
    resources: dict[str, StockView] = field(default_factory=dict[str, StockView])
    failures: list[Exception] = field(default_factory=list[Exception])
    shifting: bool = False

    def __post_init__(self) -> None:
        """Answer for the Inventory."""
        self.world.answers[GetEvents] = self.page

    def page(self, message: GetEvents) -> EventPage:
        """Answer one request as the Inventory does."""
        if self.failures:
            raise self.failures.pop(0)
        now = changed(INVENTORY, resources=self.resources or INVENTORY.resources)
        if message.after is None:
            return EventPage(now, len(self.entries), shifting=self.shifting)
        found = tuple(self.entries[message.after : message.after + message.limit])
        return EventPage(now, len(self.entries), found, shifting=self.shifting)

    def write(self, count: int = 1, cause: str = "grant") -> None:
        """Append an entry, and wake its followers."""
        for _ in range(count):
            self.entries.append(entry(len(self.entries) + 1, cause))
        self.wake()

    def wake(self) -> None:
        """Publish the wake-up of a commit."""
        body = LedgerAdvanced(ACCOUNT_ID, len(self.entries), 1)
        self.world.bus.send_nowait(Message(Topic.EVENT, body, ACCOUNT_ID))

    @property
    def asked(self) -> list[GetEvents]:
        """The requests it has received."""
        return self.world.asked_for(GetEvents)


@dataclass(frozen=True)
class Told:
    """One event as a client receives it."""

    id: int | None
    name: str
    data: dict[str, Any]


class SseClient:
    """A client that reads one response as an event stream; it does not reconnect."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.status = 0
        self.headers: dict[str, str] = {}
        self.retry_ms: int | None = None
        self.ended = False
        self._raw = b""
        self._text = b""

    async def open(self, path: str, *headers: str) -> None:
        """Send the request, and read the head of the answer."""
        request = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""])
        await self.stream.send_all(request.encode("latin-1"))
        await self.read_head()

    async def read_head(self) -> None:
        """Read the head of the answer."""
        while b"\r\n\r\n" not in self._raw:
            await self._more()
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(first.split(" ")[1])
        self.headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
        }

    async def body(self) -> dict[str, Any]:
        """Read the body of an answer that is not a stream."""
        while len(self._raw) < int(self.headers["content-length"]):
            await self._more()
        found: dict[str, Any] = msgspec.json.decode(self._raw)
        return found

    async def next(self) -> Told | None:
        """Read the next event; None at the end of the response."""
        with trio.fail_after(WAIT_S):
            while True:
                if b"\n\n" in self._text:
                    block, _, self._text = self._text.partition(b"\n\n")
                    told = self._read(block.decode("utf-8"))
                    if told is not None:
                        return told
                elif self.ended:
                    return None
                else:
                    await self._chunk()

    async def read_on(self) -> None:
        """Read event after event until the response ends."""
        while await self.next() is not None:
            pass

    async def wait_beats(self, count: int) -> None:
        """Read until this many heartbeats; no event and no end may come before."""
        with trio.fail_after(WAIT_S):
            while self._text.count(b":\n") < count:
                await self._chunk()
            assert b"\n\n" not in self._text

    def _read(self, block: str) -> Told | None:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                assert name not in fields
                fields[name] = value.removeprefix(" ")
        if "retry" in fields:
            self.retry_ms = int(fields["retry"])
        if "event" not in fields:
            return None
        number = int(fields["id"]) if "id" in fields else None
        return Told(number, fields["event"], msgspec.json.decode(fields["data"]))

    async def _chunk(self) -> None:
        while b"\r\n" not in self._raw:
            await self._more()
        length, _, rest = self._raw.partition(b"\r\n")
        size = int(length, 16)
        while len(rest) < size + 2:
            self._raw = rest
            await self._more()
            rest = self._raw
        self._text += rest[:size]
        assert rest[size : size + 2] == b"\r\n"
        self._raw = rest[size + 2 :]
        self.ended = size == 0

    async def _more(self) -> None:
        piece = await self.stream.receive_some()
        if not piece:
            raise EOFError
        self._raw += piece


class WebSocketClient:
    """A client of the WebSocket; it receives `Told` events, or a close code."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.pings = 0
        self.head = b""
        self.closed: tuple[int, str] | None = None
        self._frames = Frames(ConnectionType.CLIENT)
        self._told: list[Told] = []

    async def open(self, path: str, *headers: str) -> None:
        """Send the handshake, and read its answer."""
        request = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""])
        await self.stream.send_all(request.encode("latin-1"))
        while b"\r\n\r\n" not in self.head:
            piece = await self.stream.receive_some()
            assert piece
            self.head += piece
        self.head, _, rest = self.head.partition(b"\r\n\r\n")
        self._take(rest)

    async def send(self, event: FrameEvent) -> None:
        """Send a frame."""
        await self.stream.send_all(self._frames.send(event))

    async def login(self, **members: Any) -> None:
        """Send the first message."""
        await self.send(TextMessage(msgspec.json.encode(members).decode()))

    async def next(self) -> Told | None:
        """Read the next event; None once the server has closed."""
        with trio.fail_after(WAIT_S):
            while not self._told and self.closed is None:
                await self._receive()
        return self._told.pop(0) if self._told else None

    async def wait_pings(self, count: int) -> None:
        """Read until this many pings."""
        with trio.fail_after(WAIT_S):
            while self.pings < count:
                await self._receive()

    async def _receive(self) -> None:
        piece = await self.stream.receive_some()
        if not piece:
            raise EOFError
        self._take(piece)

    def _take(self, data: bytes) -> None:
        self._frames.receive_data(data)
        for event in self._frames.events():
            match event:
                case TextMessage():
                    assert event.message_finished
                    whole = msgspec.json.decode(event.data)
                    assert whole.keys() == {"id", "event", "data"}
                    self._told.append(Told(whole["id"], whole["event"], whole["data"]))
                case Ping():
                    self.pings += 1
                case CloseConnection():
                    self.closed = (event.code, event.reason or "")
                case _:
                    pass


@dataclass
class Streaming:
    """A running server with streams."""

    port: int
    world: FakeWorld
    ledger: Ledger
    streams: Streams
    stop: trio.Event
    stopped: trio.Event
    _clients: list[trio.SocketStream] = field(default_factory=list[trio.SocketStream])

    async def connect(self, receive_buffer: int | None = None) -> trio.SocketStream:
        """Open a connection; a small receive buffer makes a client that soon stalls."""
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer)
        await sock.connect(("127.0.0.1", self.port))
        stream = trio.SocketStream(sock)
        self._clients.append(stream)
        return stream

    async def sse(self, path: str = "/v1/events", *headers: str) -> SseClient:
        """Open an event stream as the usual account."""
        client = SseClient(await self.connect())
        await client.open(path, AUTHORIZED, *headers)
        return client

    async def websocket(self, path: str = "/v1/events/ws", *headers: str) -> WebSocketClient:
        """Open a WebSocket as the usual account, unless other headers are given."""
        client = WebSocketClient(await self.connect())
        await client.open(path, *HANDSHAKE, *(headers or (AUTHORIZED,)))
        return client

    async def wait_open(self, count: int) -> None:
        """Wait until this many streams are open."""
        with trio.fail_after(WAIT_S):
            while self.streams.statistics().open != count:  # noqa: ASYNC110 - real sockets
                await trio.sleep(0.005)

    async def close(self) -> None:
        """Close every connection of the test."""
        for stream in self._clients:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def streaming(
    *,
    settings: HttpSettings = SETTINGS,
    streams: StreamSettings | None = None,
    instruments: Instruments | None = None,
) -> AsyncGenerator[Streaming]:
    """Serve a scripted ledger on a free port of loopback, for a bounded time."""
    world = FakeWorld()
    ledger = Ledger(world)
    gateway = world.gateway()
    instruments = instruments or Instruments()
    edge = make_edge(gateway, settings, TABLE, pages=PAGES, log=world.log, instruments=instruments)
    all_streams = Streams(
        gateway,
        streams or StreamSettings(),
        edge,
        rng=random.Random(5),
        log=world.log,
    )
    stop, stopped = trio.Event(), trio.Event()

    async def serve(*, task_status: trio.TaskStatus[int]) -> None:
        await serve_http(
            edge,
            settings,
            shutdown=stop.wait,
            log=world.log,
            streams=all_streams,
            task_status=task_status,
        )
        stopped.set()

    with trio.fail_after(2 * WAIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(world.run)
            port: int = await nursery.start(serve)
            server = Streaming(port, world, ledger, all_streams, stop, stopped)
            try:
                yield server
            finally:
                await server.close()
            nursery.cancel_scope.cancel()
