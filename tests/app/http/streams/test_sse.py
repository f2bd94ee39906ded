"""Server-Sent Events over a real socket: the answer, its end, and clients that disconnect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio

from actors.authx.errors import InvalidToken
from actors.authx.messages import Authorize, ListSessions
from actors.inventory.errors import RulesetMismatch
from app.http.asgi.protocol import HttpProtocol
from app.http.direct import DirectConnection
from app.http.streams import StreamSettings
from tests.app.http.harness import SETTINGS, FakeWorld, get
from tests.app.http.harness import serving as serving_requests
from tests.app.http.streams.harness import AUTHORIZED, SseClient, streaming

FAST = StreamSettings(heartbeat_seconds=0.02)


async def test_stream_is_an_event_stream() -> None:
    """The answer has its media type, must not be cached, and begins with a snapshot."""
    async with streaming() as server:
        server.ledger.write(3)
        client = await server.sse("/v1/events", "X-Request-Id: mine")
        assert client.status == 200
        assert client.headers["content-type"] == "text/event-stream"
        assert client.headers["cache-control"] == "no-store"
        assert client.headers["x-accel-buffering"] == "no"
        assert client.headers["x-request-id"] == "mine"
        told = await client.next()
        assert told is not None
        assert (told.id, told.name) == (3, "snapshot")
        assert client.retry_ms == 1_000


async def test_stream_tells_what_happens() -> None:
    """An entry reaches the client as soon as it is made."""
    async with streaming() as server:
        client = await server.sse()
        await client.next()
        server.ledger.write(2, "order-started")
        for number in (1, 2):
            told = await client.next()
            assert told is not None
            assert (told.id, told.name) == (number, "order-started")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/events?after=2", ()),
        ("/v1/events", ("Last-Event-ID: 2",)),
        ("/v1/events?after=4", ("Last-Event-ID: 2",)),
        ("/v1/events?after=2", ("Last-Event-ID:",)),
    ],
)
async def test_stream_resumes_by_header_or_query(path: str, headers: tuple[str, ...]) -> None:
    """The header that an EventSource sends when it reconnects takes precedence over the query."""
    async with streaming() as server:
        server.ledger.write(4)
        client = await server.sse(path, *headers)
        assert [(await client.next()).id for _ in range(2)] == [3, 4]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("path", "headers", "status", "slug"),
    [
        ("/v1/events", (), 401, "invalid-token"),
        ("/v1/events", ("Authorization: Bearer v4.local.bad",), 401, "invalid-token"),
        ("/v1/events", (AUTHORIZED, "Last-Event-ID: x"), 422, "invalid-request"),
        ("/v1/events", (AUTHORIZED, "Last-Event-ID: -1"), 422, "invalid-request"),
        ("/v1/events", (AUTHORIZED, f"Last-Event-ID: {2**53}"), 422, "invalid-request"),
        (
            "/v1/events",
            (AUTHORIZED, "Last-Event-ID: 1", "Last-Event-ID: 2"),
            422,
            "invalid-request",
        ),
        ("/v1/events?after=x", (AUTHORIZED,), 422, "invalid-request"),
        ("/v1/events?after=-1", (AUTHORIZED,), 422, "invalid-request"),
        ("/v1/events?since=1", (AUTHORIZED,), 422, "invalid-request"),
        ("/v1/events", (AUTHORIZED, "Content-Length: 5"), 400, "malformed-request"),
        ("/v1/events", (AUTHORIZED, "Transfer-Encoding: chunked"), 400, "malformed-request"),
    ],
)
async def test_stream_is_refused_as_any_request_is(
    path: str, headers: tuple[str, ...], status: int, slug: str
) -> None:
    """A faulty request for a stream gets a problem with a request id."""
    async with streaming() as server:
        client = SseClient(await server.connect())
        await client.open(path, *headers)
        assert client.status == status
        assert client.headers["content-type"] == "application/problem+json"
        assert client.headers["x-request-id"]
        assert (await client.body())["type"] == f"/problems/{slug}"
        with pytest.raises(EOFError):
            await client._more()


@pytest.mark.parametrize("method", ["POST", "DELETE", "HEAD", "OPTIONS"])
async def test_stream_takes_one_method(method: str) -> None:
    """Any other method is refused, naming the allowed one."""
    async with streaming() as server:
        stream = await server.connect()
        await stream.send_all(f"{method} /v1/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = (await stream.receive_some()).decode()
        assert answer.startswith("HTTP/1.1 405 ")
        assert "\r\nallow: GET\r\n" in answer


async def test_stream_that_cannot_begin_is_a_problem() -> None:
    """Whatever keeps a stream from its first event is answered with its status."""
    async with streaming() as server:
        server.ledger.failures.append(RulesetMismatch(("mine",)))
        client = await server.sse()
        assert client.status == 503


async def test_stream_that_cannot_go_on_ends() -> None:
    """An error in the middle of a stream ends the response: the client reconnects."""
    async with streaming() as server:
        client = await server.sse()
        await client.next()
        server.ledger.failures.append(ZeroDivisionError())
        server.ledger.write()
        with pytest.raises(EOFError):
            await client.next()
        assert server.world.events("request_failed")


async def test_account_may_have_so_many_streams() -> None:
    """Beyond the limit a stream is refused until another is closed."""
    async with streaming(streams=StreamSettings(streams_per_account_max=2)) as server:
        first = await server.sse()
        await server.sse()
        refused = await server.sse()
        assert refused.status == 429
        assert refused.headers["retry-after"]
        assert (await refused.body())["type"] == "/problems/too-many-streams"
        await first.stream.aclose()
        await server.wait_open(1)
        assert (await server.sse()).status == 200
        counts = server.streams.statistics()
        assert (counts.open, counts.opened, counts.refused) == (2, 3, 1)


async def test_streams_are_counted_as_requests() -> None:
    """Answered and refused streams are counted among the requests by their route."""
    async with streaming() as server:
        await server.sse()
        client = SseClient(await server.connect())
        await client.open("/v1/events")
        counted = dict(server.streams.instruments.traffic.requests)
        assert counted == {("GET", "/v1/events", 200): 1, ("GET", "/v1/events", 401): 1}


async def test_silent_stream_beats() -> None:
    """A comment is sent now and then, which no client treats as an event.

    Nor may a client treat its blank line as one, as httpx-sse did after the first id.
    """
    async with streaming(streams=FAST) as server:
        client = await server.sse()
        await client.next()
        await client.wait_beats(3)
        server.ledger.write(1)
        assert (await client.next()).id == 1  # type: ignore[union-attr]


async def test_nothing_is_told_before_the_first_event() -> None:
    """The retry delay comes with it: alone it would be an event without data."""
    async with streaming(streams=FAST) as server:
        client = await server.sse("/v1/events?after=0")
        await client.wait_beats(1)
        assert client.retry_ms is None
        server.ledger.write(1)
        assert (await client.next()).id == 1  # type: ignore[union-attr]
        assert client.retry_ms == 1000


async def test_client_that_goes_is_noticed_at_once() -> None:
    """A client's end ends its stream, without a heartbeat."""
    async with streaming() as server:
        clients = [await server.sse() for _ in range(3)]
        await server.wait_open(3)
        for client in clients:
            await client.stream.aclose()
        await server.wait_open(0)
        assert server.world.bus.statistics().subscriptions == 2


async def test_client_that_sends_on_is_not_listened_to() -> None:
    """Data after the request is discarded; the stream continues."""
    async with streaming() as server:
        client = await server.sse()
        await client.next()
        for _ in range(20):
            await client.stream.send_all(get() + bytes(1_000))
        server.ledger.write()
        told = await client.next()
        assert told is not None
        assert told.id == 1


async def test_slow_reader_is_disconnected() -> None:
    """A client that does not read is disconnected; others are served meanwhile."""
    settings = replace(SETTINGS, send_timeout_ms=200)
    async with streaming(settings=settings) as server:
        slow = SseClient(await server.connect(receive_buffer=4_096))
        await slow.open("/v1/events?after=0", AUTHORIZED)
        quick = await server.sse()
        await quick.next()

        async def keep_up() -> None:
            while await quick.next() is not None:
                pass

        with trio.fail_after(8):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_up)
                while server.streams.statistics().open == 2:
                    server.ledger.write(50)
                    await trio.sleep(0.002)
                nursery.cancel_scope.cancel()
        assert server.streams.statistics().open == 1
        [stalled] = server.world.events("client_stalled")
        assert stalled["timeout_ms"] == 200
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await slow.read_on()


@pytest.mark.parametrize("fast_lane", [True, False])
@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/ws"])
async def test_refused_stream_keeps_no_room_for_bodies(path: str, *, fast_lane: bool) -> None:
    """An unwanted body is released with its request."""
    settings = replace(SETTINGS, fast_lane=fast_lane)
    async with streaming(settings=settings) as server:
        stream = await server.connect()
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"
        await stream.send_all(head.encode() + bytes(2_000))
        answer = b"".join([piece async for piece in stream])
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert server.streams.gate.bodies.bytes == 0


async def test_stream_ends_with_its_session() -> None:
    """The end of the session is the last event, and the response ends in order."""
    async with streaming(streams=FAST) as server:
        clients = [await server.sse() for _ in range(2)]
        for client in clients:
            await client.next()
        server.world.answers[Authorize] = InvalidToken()
        server.world.answers[ListSessions] = ()
        for client in clients:
            told = await client.next()
            assert told is not None
            assert (told.id, told.name) == (None, "session-ended")
            assert await client.next() is None
            assert client.ended
        await server.wait_open(0)


async def test_shutdown_ends_streams_at_once() -> None:
    """At shutdown every stream gets its goodbye, and none causes a delay."""
    async with streaming(settings=replace(SETTINGS, shutdown_timeout_ms=60_000)) as server:
        clients = [await server.sse() for _ in range(20)]
        for client in clients:
            await client.next()
        server.stop.set()
        for client in clients:
            told = await client.next()
            assert told is not None
            assert (told.id, told.name) == (None, "bye")
            assert await client.next() is None
        with trio.fail_after(1):
            await server.stopped.wait()
        assert not server.world.events("http_connections_aborted")


async def test_shutdown_answers_a_stream_that_has_not_begun() -> None:
    """A stream request overtaken by the shutdown is refused, to be retried."""
    async with streaming() as server:
        server.world.pause()
        client = SseClient(await server.connect())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.open, "/v1/events", AUTHORIZED)
            await server.world.wait_asked()
            server.stop.set()
            await trio.sleep(0.05)
            server.world.resume()
        assert client.status == 503
        assert client.headers["retry-after"]
        with trio.fail_after(2):
            await server.stopped.wait()


async def test_stream_that_is_handed_over_during_a_shutdown_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A request that the shutdown meets between HTTP and stream does not slip through."""
    create, answer = HttpProtocol._create_stream, DirectConnection._answer_requests

    async def create_stream(self: HttpProtocol, *args: Any) -> None:
        await create(self, *args)
        await self.context.terminated.set()

    async def answer_requests(self: DirectConnection) -> Any:
        following = await answer(self)
        self._lane.stopping = True
        return following

    monkeypatch.setattr(HttpProtocol, "_create_stream", create_stream)
    monkeypatch.setattr(DirectConnection, "_answer_requests", answer_requests)
    for fast_lane in (True, False):
        async with streaming(settings=replace(SETTINGS, fast_lane=fast_lane)) as server:
            assert (await server.sse()).status == 503


async def test_shutdown_is_not_held_up_by_a_client_that_does_not_read() -> None:
    """A stream stuck in a send that the client does not read is cut off with the rest."""
    settings = replace(SETTINGS, send_timeout_ms=60_000, shutdown_timeout_ms=100)
    async with streaming(settings=settings) as server:
        slow = SseClient(await server.connect(receive_buffer=4_096))
        await slow.open("/v1/events?after=0", AUTHORIZED)
        server.ledger.write(5_000)
        await trio.sleep(0.3)
        server.stop.set()
        with trio.fail_after(2):
            await server.stopped.wait()


async def test_http_1_0_client_gets_the_stream_without_chunks() -> None:
    """A client without chunked coding reads to the end of the connection."""
    async with streaming() as server:
        stream = await server.connect()
        await stream.send_all(f"GET /v1/events HTTP/1.0\r\n{AUTHORIZED}\r\n\r\n".encode())
        text = b""
        while b"event: snapshot" not in text:
            text += await stream.receive_some()
        assert b"transfer-encoding" not in text
        assert b"\r\n\r\nretry: 1000\nid: 0\n" in text


@pytest.mark.parametrize("name", ["heartbeat_seconds", "streams_per_account_max", "page"])
def test_settings_must_make_sense(name: str) -> None:
    """A setting that could never serve a stream is refused by name."""
    values: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        StreamSettings(**values)


async def test_server_without_streams_has_no_such_path() -> None:
    """Streams are served where the composer provided them, and nowhere else."""
    async with serving_requests(FakeWorld()) as server:
        assert (await server.client.get("/v1/events")).status_code == 404
