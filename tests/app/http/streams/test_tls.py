"""Event streams over TLS, on a real socket, through both lanes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import trio
from wsproto.events import CloseConnection

from app.http.policy import TRANSPORT_SECURITY
from app.http.streams import StreamSettings
from tests.app.http import harness
from tests.app.http.harness import TOKEN
from tests.app.http.secure import encrypted
from tests.app.http.streams.harness import (
    AUTHORIZED,
    HANDSHAKE,
    SseClient,
    WebSocketClient,
    streaming,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trustme

    from app.http.settings import HttpSettings
    from tests.app.http.streams.harness import Streaming

NAME, VALUE = (each.decode() for each in TRANSPORT_SECURITY)


@pytest.fixture
def settings(lane: str, tls_settings: HttpSettings) -> HttpSettings:
    """Return the settings of a lane with TLS."""
    return replace(tls_settings, fast_lane=lane == harness.FAST)


async def connect(
    server: Streaming, authority: trustme.CA, receive_buffer: int | None = None
) -> trio.SocketStream:
    """Open a connection; the clients use only what both kinds of stream can do."""
    stream = await encrypted(await server.connect(receive_buffer), authority)
    return cast("trio.SocketStream", stream)


@asynccontextmanager
async def sse(server: Streaming, authority: trustme.CA, path: str) -> AsyncGenerator[SseClient]:
    """Open an event stream; the client disconnects without a goodbye."""
    client = SseClient(await connect(server, authority))
    await client.open(path, AUTHORIZED)
    try:
        yield client
    finally:
        await trio.aclose_forcefully(client.stream)


@asynccontextmanager
async def websocket(
    server: Streaming, authority: trustme.CA, *headers: str
) -> AsyncGenerator[WebSocketClient]:
    """Open a WebSocket; the client disconnects without a goodbye."""
    client = WebSocketClient(await connect(server, authority))
    await client.open("/v1/events/ws", *HANDSHAKE, *headers)
    try:
        yield client
    finally:
        await trio.aclose_forcefully(client.stream)


async def test_stream_is_told_over_tls(settings: HttpSettings, authority: trustme.CA) -> None:
    """A snapshot, events, and heartbeats; a client that is gone is noticed at once."""
    quick = StreamSettings(heartbeat_seconds=0.05)
    async with streaming(settings=settings, streams=quick) as server:
        async with sse(server, authority, "/v1/events") as client:
            assert (client.status, client.headers[NAME]) == (200, VALUE)
            assert (await client.next()).name == "snapshot"  # type: ignore[union-attr]
            server.ledger.write(3)
            assert [(await client.next()).id for _ in range(3)] == [1, 2, 3]  # type: ignore[union-attr]
            await client.wait_beats(2)
        await server.wait_open(0)
        async with sse(server, authority, "/v1/events?after=1") as client:
            assert [(await client.next()).id for _ in range(2)] == [2, 3]  # type: ignore[union-attr]


async def test_websocket_is_told_over_tls(settings: HttpSettings, authority: trustme.CA) -> None:
    """With the token in the first message, frames go both ways; a close is answered."""
    quick = StreamSettings(heartbeat_seconds=0.05)
    async with streaming(settings=settings, streams=quick) as server:
        async with websocket(server, authority) as client:
            assert client.head.startswith(b"HTTP/1.1 101 ")
            await client.login(access_token=TOKEN)
            assert (await client.next()).name == "snapshot"  # type: ignore[union-attr]
            server.ledger.write(2)
            assert [(await client.next()).id for _ in range(2)] == [1, 2]  # type: ignore[union-attr]
            await client.wait_pings(2)
            await client.send(CloseConnection(1000))
            assert await client.next() is None
            assert client.closed == (1000, "")
        await server.wait_open(0)


async def test_shutdown_says_goodbye_over_tls(
    settings: HttpSettings, authority: trustme.CA
) -> None:
    """Both kinds of stream end at once with a goodbye, which arrives."""
    async with (
        streaming(settings=settings) as server,
        sse(server, authority, "/v1/events") as one,
        websocket(server, authority, AUTHORIZED) as two,
    ):
        await one.next()
        await two.next()
        started = trio.current_time()
        server.stop.set()
        assert (await one.next()).name == "bye"  # type: ignore[union-attr]
        assert await one.next() is None
        assert (await two.next()).name == "bye"  # type: ignore[union-attr]
        assert await two.next() is None
        assert two.closed == (1001, "bye")
        await server.stopped.wait()
        assert trio.current_time() - started < 0.8


async def test_stream_that_is_not_read_over_tls_is_cut_off(
    settings: HttpSettings, authority: trustme.CA
) -> None:
    """A client that reads nothing loses its connection within the time to take an answer."""
    impatient = replace(settings, send_timeout_ms=200)
    async with streaming(settings=impatient) as server:
        client = SseClient(await connect(server, authority, receive_buffer=4_096))
        await client.open("/v1/events?after=0", AUTHORIZED)
        server.ledger.write(3_000)  # Less than the system would buffer of it, and more than it may.
        await server.wait_open(0)
        await trio.aclose_forcefully(client.stream)
