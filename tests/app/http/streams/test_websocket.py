"""The same stream over WebSocket: logins, closes, and invalid handshakes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio
from wsproto.events import CloseConnection, Ping, Pong, TextMessage

from actors.authx.errors import InvalidToken
from actors.authx.messages import Authorize, ListSessions
from app.http.streams import StreamSettings
from app.http.streams.websocket import CLOSE_S, FRAMES_MAX, LOGIN_BYTES_MAX
from tests.app.http.harness import SETTINGS, TOKEN
from tests.app.http.streams.harness import (
    AUTHORIZED,
    HANDSHAKE,
    Streaming,
    WebSocketClient,
    streaming,
)

PATH = "/v1/events/ws"


async def told_ids(client: WebSocketClient, count: int) -> list[int | None]:
    """Read this many events; return their ids."""
    ids: list[int | None] = []
    for _ in range(count):
        told = await client.next()
        assert told is not None
        ids.append(told.id)
    return ids


async def test_websocket_tells_the_same_events() -> None:
    """Snapshot, entries, ids and data are those of the event stream."""
    async with streaming() as server:
        server.ledger.write(2)
        websocket, sse = await server.websocket(), await server.sse()
        for _ in range(2):
            assert await websocket.next() == await sse.next()
            server.ledger.write(1, "order-started")
        assert websocket.head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=" in websocket.head
        assert b"x-request-id: " in websocket.head
        assert b"extensions" not in websocket.head


@pytest.mark.parametrize("subprotocols", ["bearer.{}", "holdfast.events, bearer.{}"])
async def test_token_may_be_offered_as_a_subprotocol(subprotocols: str) -> None:
    """A browser can log in with a header it can set; the token is never sent back."""
    async with streaming() as server:
        offer = f"Sec-WebSocket-Protocol: {subprotocols.format(TOKEN)}"
        client = await server.websocket(f"{PATH}?after=0", offer)
        server.ledger.write()
        assert await told_ids(client, 1) == [1]
        assert TOKEN.encode() not in client.head
        spoken = b"sec-websocket-protocol: holdfast.events" in client.head
        assert spoken is ("holdfast" in subprotocols)


@pytest.mark.parametrize(
    ("path", "members", "first"),
    [
        (PATH, {}, 3),
        (f"{PATH}?after=1", {}, 2),
        (PATH, {"after": 0}, 1),
        (f"{PATH}?after=1", {"after": 2}, 3),
    ],
)
async def test_first_message_may_log_in(path: str, members: dict[str, int], first: int) -> None:
    """The token, and where to resume, may come as the first message."""
    async with streaming() as server:
        server.ledger.write(3)
        client = await server.websocket(path, "X-Nothing: 1")
        await client.login(access_token=TOKEN, **members)
        assert await told_ids(client, 1) == [first]


@pytest.mark.parametrize(
    ("headers", "frame"),
    [
        ((), TextMessage(f'{{"access_token":"{TOKEN}"}}')),
        ((AUTHORIZED,), Ping(b"there?")),
    ],
    ids=["login", "ping"],
)
async def test_frame_may_come_with_the_handshake(headers: tuple[str, ...], frame: Any) -> None:
    """A client that does not wait for the answer to its handshake loses nothing."""
    async with streaming() as server:
        client = WebSocketClient(await server.connect())
        lines = [f"GET {PATH} HTTP/1.1", "Host: x", *HANDSHAKE, *headers, "", ""]
        request = "\r\n".join(lines).encode()
        await client.stream.send_all(request + client._frames.send(frame))
        while b"snapshot" not in client.head:
            client.head += await client.stream.receive_some()


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('{"access_token":"v4.local.bad"}', "invalid-token"),
        ('{"access_token":"v4.local.bad\\r\\nX: y"}', "invalid-token"),
        ('{"access_token":5}', "invalid-request"),
        ('{"access_token":"x","more":1}', "invalid-request"),
        (f'{{"access_token":"{TOKEN}","after":-1}}', "invalid-request"),
        ("hello", "malformed-json"),
        ("", "malformed-json"),
    ],
)
async def test_first_message_that_is_no_login_is_told_in_the_close(
    message: str, reason: str
) -> None:
    """What would have been a problem becomes the reason of the close."""
    async with streaming() as server:
        client = await server.websocket(PATH, "X-Nothing: 1")
        await client.send(TextMessage(message))
        assert await client.next() is None
        assert client.closed == (1008, reason)


@pytest.mark.parametrize(
    ("path", "header"), [(f"{PATH}?x=1", "X-Nothing: 1"), (PATH, "Last-Event-ID: x")]
)
async def test_request_that_is_wrong_is_told_once_the_first_message_says_whose_it_is(
    path: str, header: str
) -> None:
    """Without a token in the handshake, the query and the last id are checked at login."""
    async with streaming() as server:
        client = await server.websocket(path, header)
        await client.login(access_token=TOKEN)
        assert await client.next() is None
        assert client.closed == (1008, "invalid-request")


async def test_client_that_does_not_log_in_is_let_go() -> None:
    """A WebSocket without a token is closed."""
    async with streaming(streams=StreamSettings(login_seconds=0.05)) as server:
        client = await server.websocket(PATH, "X-Nothing: 1")
        assert await client.next() is None
        assert client.closed == (1008, "no access token arrived in time")


async def test_login_has_a_limit() -> None:
    """A first message that is too long is cut off while it arrives."""
    async with streaming() as server:
        client = await server.websocket(PATH, "X-Nothing: 1")
        await client.send(TextMessage("x" * (LOGIN_BYTES_MAX + 1), message_finished=False))
        assert await client.next() is None
        assert client.closed == (1009, "the message is too long")


async def test_message_of_a_client_that_is_logged_in_is_refused() -> None:
    """Nothing is expected from a client; an unexpected message is not ignored."""
    async with streaming() as server:
        client = await server.websocket()
        await client.next()
        await client.send(TextMessage("hello"))
        assert await client.next() is None
        assert client.closed == (1008, "messages from the client are not expected")


async def test_ping_of_a_client_is_answered() -> None:
    """A client that pings gets an answer, and the stream continues."""
    async with streaming() as server:
        client = await server.websocket()
        await client.next()
        for _ in range(3):
            await client.send(Ping(b"there?"))
        server.ledger.write()
        assert await told_ids(client, 1) == [1]


@pytest.mark.parametrize(
    ("headers", "frame"),
    [
        ((), Ping()),
        ((), Pong()),
        ((), TextMessage("", message_finished=False)),
        ((AUTHORIZED,), Ping()),
        ((AUTHORIZED,), Pong()),
    ],
    ids=lambda each: str(each)[:20],
)
async def test_flood_of_frames_is_cut_off(headers: tuple[str, ...], frame: Any) -> None:
    """No client takes processor time from others with meaningless frames, logged in or not."""
    async with streaming() as server:
        client = WebSocketClient(await server.connect())
        await client.open(PATH, *HANDSHAKE, *headers)
        if headers:
            assert await client.next() is not None
        for _ in range(FRAMES_MAX + 1):
            await client.send(frame)
        assert await client.next() is None
        assert client.closed == (1008, "too many frames")


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize(
    ("header", "sent", "code"),
    [
        (AUTHORIZED, b"\x89\xfd\0\0\0\0" + bytes(125), 1008),
        (AUTHORIZED, b"\x81\xfd\0\0\0\0" + bytes(125), 1008),
        (AUTHORIZED, b"\x89\x7d" + bytes(125), 1002),
        ("X-Nothing: 1", b"\x82\xfe\x7f\xff\0\0\0\0" + bytes(0x7FFF), 1009),
    ],
    ids=["pings", "messages", "not masked", "login"],
)
async def test_client_that_goes_on_sending_reads_why_it_was_closed(
    fast_lane: bool,
    header: str,
    sent: bytes,
    code: int,
) -> None:
    """Frames sent meanwhile do not reset the connection, which could destroy the close."""
    async with streaming(settings=replace(SETTINGS, fast_lane=fast_lane)) as server:
        client = await server.websocket(PATH, header)
        await client.stream.send_all(sent * (150_000 // len(sent)))
        while await client.next() is not None:
            pass
        assert client.closed is not None
        assert client.closed[0] == code
        assert await client.stream.receive_some() == b""


async def test_frames_of_a_client_are_counted_between_events() -> None:
    """Occasional pings are never too many, however long the stream lasts."""
    async with streaming() as server:
        client = await server.websocket()
        assert await client.next() is not None
        for number in range(1, 5):
            for _ in range(FRAMES_MAX // 2):
                await client.send(Ping())
            server.ledger.write()
            assert await told_ids(client, 1) == [number]
        assert client.closed is None


async def test_frames_of_a_client_are_counted_between_heartbeats() -> None:
    """If nothing happens, the server's heartbeats take the place of events."""
    async with streaming(streams=StreamSettings(heartbeat_seconds=0.05)) as server:
        client = await server.websocket()
        assert await client.next() is not None
        for _ in range(4):
            for _ in range(FRAMES_MAX // 2):
                await client.send(Ping())
            await client.wait_pings(client.pings + 1)
        assert client.closed is None


async def test_answer_to_a_ping_is_no_message() -> None:
    """A client that answers the heartbeat, as each must, is not refused for it."""
    async with streaming() as server:
        client = await server.websocket()
        await client.next()
        await client.send(Pong())
        server.ledger.write()
        assert await told_ids(client, 1) == [1]


async def test_frames_before_the_handshake_is_answered_wait_for_it() -> None:
    """A client that does not wait is served like one that does, to the end of its session."""
    async with streaming(streams=StreamSettings(heartbeat_seconds=0.1)) as server:
        server.world.pause()
        client = WebSocketClient(await server.connect())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.open, PATH, *HANDSHAKE, AUTHORIZED)
            await server.world.wait_asked()
            await client.send(Ping(b"early"))
            await trio.sleep(0.05)
            server.world.resume()
        assert await told_ids(client, 1) == [0]
        server.world.answers[Authorize] = InvalidToken()
        server.world.answers[ListSessions] = ()
        assert (await client.next()).name == "session-ended"  # type: ignore[union-attr]
        assert await client.next() is None
        await client.send(CloseConnection(1008))
        await server.wait_open(0)
        assert not server.world.logged


@pytest.mark.parametrize("frame", [TextMessage("hello"), CloseConnection(1000)], ids=str)
async def test_what_a_client_sends_while_its_session_ends_is_heeded(frame: Any) -> None:
    """It does not stay unread for a second, which would reset the connection."""
    async with streaming() as server:
        client = await server.websocket()
        assert (await client.next()).name == "snapshot"  # type: ignore[union-attr]
        server.world.asked.clear()
        server.world.pause()
        server.ledger.write()
        await server.world.wait_asked()
        await client.send(frame)
        await trio.sleep(0.05)
        server.world.answers[Authorize] = InvalidToken()
        server.world.answers[ListSessions] = ()
        server.world.resume()
        began = trio.current_time()
        assert (await client.next()).name == "session-ended"  # type: ignore[union-attr]
        assert await client.next() is None
        assert client.closed == (1008, "session-ended")
        assert await client.stream.receive_some() == b""
        assert trio.current_time() - began < CLOSE_S / 2


async def test_silent_websocket_is_pinged() -> None:
    """The heartbeat is a ping."""
    async with streaming(streams=StreamSettings(heartbeat_seconds=0.02)) as server:
        client = await server.websocket()
        await client.next()
        await client.wait_pings(3)


async def test_close_of_a_client_ends_the_stream() -> None:
    """A close is answered, and nothing of the stream is left."""
    async with streaming() as server:
        client = await server.websocket()
        await client.next()
        await client.send(CloseConnection(1000))
        assert await client.next() is None
        await server.wait_open(0)


@pytest.mark.parametrize("garbage", [b"\xff" * 100, b"\x81\x05hello", b"\x83\x80\0\0\0\0", b"\x81"])
async def test_garbage_instead_of_frames_ends_one_connection(garbage: bytes) -> None:
    """Invalid frames close this WebSocket; the server and others never notice."""
    async with streaming() as server:
        other = await server.sse()
        await other.next()
        client = await server.websocket()
        await client.next()
        await client.stream.send_all(garbage)
        await client.stream.send_eof()
        await server.wait_open(1)
        server.ledger.write()
        assert await other.next() is not None
        assert not server.world.events("connection_failed")
        assert not server.world.events("request_failed")


def without(name: str, *instead: str) -> tuple[str, ...]:
    """Return the headers of a handshake, except one."""
    return (*(line for line in HANDSHAKE if not line.startswith(name)), *instead)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 426),
        (without("Upgrade"), 426),
        (without("Upgrade", "Upgrade: h2c"), 426),
        (without("Connection"), 400),
        (without("Connection", "Connection: close"), 400),
        (without("Sec-WebSocket-Version"), 426),
        (without("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"), 426),
        (without("Sec-WebSocket-Key"), 400),
        (without("Sec-WebSocket-Key", "Sec-WebSocket-Key: short"), 400),
        (without("Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="), 400),
        ((*HANDSHAKE, HANDSHAKE[-1]), 400),
        ((*HANDSHAKE, "Content-Length: 3"), 400),
        ((*HANDSHAKE, "Authorization: Bearer v4.local.bad"), 401),
        ((*HANDSHAKE, "Authorization: Basic x"), 401),
        ((*HANDSHAKE, "Sec-WebSocket-Protocol: bearer."), 401),
        ((*HANDSHAKE, "Sec-WebSocket-Protocol: bearer.v4.local.bad"), 401),
        ((*HANDSHAKE, AUTHORIZED, "Last-Event-ID: x"), 422),
    ],
)
async def test_handshake_that_is_wrong_is_answered_as_a_request(
    headers: tuple[str, ...], status: int
) -> None:
    """A failed handshake gets its client a problem, and the next one is served."""
    async with streaming() as server:
        await refused(server, headers, status)
        assert await told_ids(await server.websocket(), 1) == [0]
        assert not server.world.logged


async def refused(server: Streaming, headers: tuple[str, ...], status: int) -> None:
    """Send a handshake that is refused; check the refusal, and that the connection ends."""
    stream = await server.connect()
    request = "\r\n".join([f"GET {PATH} HTTP/1.1", "Host: x", *headers, "", ""])
    await stream.send_all(request.encode())
    answer = b""
    with trio.fail_after(5):
        async for piece in stream:
            answer += piece
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in answer
    assert b"x-request-id: " in answer
    if status == 426:
        assert b"upgrade: websocket" in answer
        assert b"sec-websocket-version: 13\r\n" in answer


async def test_websocket_ends_with_its_session() -> None:
    """The end of the session is a message, then the reason of the close."""
    async with streaming(streams=StreamSettings(heartbeat_seconds=0.02)) as server:
        client = await server.websocket()
        await client.next()
        server.world.answers[Authorize] = InvalidToken()
        server.world.answers[ListSessions] = ()
        told = await client.next()
        assert told is not None
        assert (told.id, told.name) == (None, "session-ended")
        assert await client.next() is None
        assert client.closed == (1008, "session-ended")
        await client.send(CloseConnection(1008))
        assert await client.stream.receive_some() == b""


async def test_shutdown_closes_websockets_at_once() -> None:
    """At shutdown a WebSocket gets its goodbye, closes with 1001, and causes no delay."""
    settings = replace(SETTINGS, shutdown_timeout_ms=60_000)
    async with streaming(settings=settings) as server:
        client, waiting = await server.websocket(), await server.websocket(PATH, "X-Nothing: 1")
        await client.next()
        server.stop.set()
        told = await client.next()
        assert told is not None
        assert told.name == "bye"
        assert await client.next() is None
        assert client.closed == (1001, "bye")
        assert (await waiting.next()).name == "bye"  # type: ignore[union-attr]
        with trio.fail_after(1):
            await server.stopped.wait()
