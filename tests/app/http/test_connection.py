"""Bad clients on real sockets: each harms its own connection and no other."""

from __future__ import annotations

import math
import random
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import msgspec
import pytest
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.trio.worker_context import WorkerContext
from trio.testing import wait_all_tasks_blocked

from actors.inventory.messages import PlaceOrder
from actors.ticker.messages import GetWorld, World
from app.http import server as server_module
from app.http.asgi.connection import Connection
from app.http.direct import DirectConnection
from app.http.direct.lane import Lane
from app.http.edge import Edge
from app.http.exchange import HttpRequest, HttpResponse
from app.http.gate import Gate
from app.http.refusals import Refusals
from app.http.routes import Route, Router
from bus import Message, Topic
from tests.actors.storage.support import counting_steps
from tests.app.http.harness import (
    BEARER,
    FAST,
    NOW_MS,
    SETTINGS,
    SILENT,
    FakeWorld,
    Serving,
    get,
    serving,
    settings_with,
)
from tests.app.http.test_edge import fail_in_two_ways

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypercorn.typing import ASGIFramework

    from app.http.asgi.edge import Receive, Scope, Send
    from app.http.asgi.protocol import HttpProtocol

pytestmark = pytest.mark.usefixtures("lane")

NOTHING = Message(Topic.TASK, None)
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")
REGISTER = b'{"username":"ada","password":"correct horse"}'


@dataclass(frozen=True)
class Flood:
    """An application whose answer is larger than every buffer between it and a client."""

    size: int = 64 * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with zeros."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(self.size)})


def post(*headers: str, body: bytes = b"") -> bytes:
    """Spell out a request with a body."""
    return (
        "\r\n".join(["POST /v1/accounts HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")
        + body
    )


async def alive(server: Serving) -> bool:
    """Whether the server still serves others."""
    return (await server.client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("request_bytes", "status", "slug"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, "malformed-request"),
        (b"GET /healthz\r\n\r\n", 400, "malformed-request"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed-request"),
        (b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n", 400, "malformed-request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "malformed-request"),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed-request"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed-request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400, "malformed-request"),
        (post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400,
         "malformed-request"),
        (post("Transfer-Encoding: chunked", "Content-Length: 0", body=b"0\r\n\r\n"), 400,
         "malformed-request"),
        (post("Content-Length: 1", "Content-Length: 2", body=b"ab"), 400, "malformed-request"),
        (post("Content-Length: -1"), 400, "malformed-request"),
        (post("Content-Length: +1"), 400, "malformed-request"),
        (post("Content-Length: 0x1"), 400, "malformed-request"),
        (post("Content-Length: 1e3"), 400, "malformed-request"),
        (post("Transfer-Encoding: chunked", body=b"zz\r\n"), 400, "malformed-request"),
        (post("Transfer-Encoding: chunked", body=b"1\r\nab"), 400, "malformed-request"),
        (post("Transfer-Encoding: gzip"), 501, "not-implemented"),
        (post("Transfer-Encoding: gzip, chunked"), 501, "not-implemented"),
        (post("Transfer-Encoding: chunked, chunked"), 400, "malformed-request"),
        (get("/healthz", "A: " + "b" * 20_000), 431, "headers-too-large"),
        (get("/" + "a" * 20_000), 431, "headers-too-large"),
        (get("/healthz", "A: " + "b" * 20_000)[:-4], 431, "headers-too-large"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http-version-not-supported"),
        (b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n", 505, "http-version-not-supported"),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
async def test_unreadable_request_is_refused_and_its_connection_closed(
    request_bytes: bytes, status: int, slug: str
) -> None:
    """What is not HTTP/1.1 gets a problem with an id, then the end of its connection."""
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        response = await client.read_response()
        assert response.status == status
        assert msgspec.json.decode(response.body)["type"] == f"/problems/{slug}"
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["connection"] == "close"
        assert response.headers["x-request-id"]
        assert await client.read_to_end() == b""
        assert server.world.asked == []
        assert await alive(server)
        assert not server.world.logged


@pytest.mark.parametrize(
    "target", ["*", "http://x/healthz", "example.com:80", "?x", "healthz", "http://[::1/"]
)
async def test_target_that_is_no_path_is_400(target: str) -> None:
    """Asterisk, absolute and authority forms are refused, whatever the method."""
    async with serving() as server:
        for method in ("GET", "OPTIONS", "CONNECT"):
            client = await server.connect()
            await client.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await client.read_response(method.encode())).status == 400
            await client.aclose()
        assert not server.world.logged


async def test_smuggled_request_is_never_answered() -> None:
    """What hides behind contradicting lengths is not taken for a second request."""
    async with serving() as server:
        client = await server.connect()
        hidden = get("/v1/world")
        await client.send(
            post("Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + hidden)
        )
        answer = await client.read_to_end()
        assert answer.count(b"HTTP/1.1 ") == 1
        assert server.world.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        UPGRADE,
        (*UPGRADE, "Sec-WebSocket-Version: 13"),
        (*UPGRADE, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x"),
        (*UPGRADE, "Sec-WebSocket-Version: 99", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        (*UPGRADE, "Sec-WebSocket-Extensions: \xff;;,", "Sec-WebSocket-Key: \xff"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: !"),
    ],
    ids=lambda headers: " ".join(headers)[:60],
)
async def test_upgrade_is_ignored_and_hurts_nobody(headers: tuple[str, ...]) -> None:
    """A WebSocket or HTTP/2 handshake, good or bad, is answered as the plain request it also is."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz", *headers))
        assert (await client.read_response()).status == 200
        await client.send(b"\x81\x85\x00\x00\x00\x00hello\x88\x00\r\n\r\n")
        rest = await client.read_to_end()
        assert rest.startswith(b"HTTP/1.1 400 ")
        assert await alive(server)
        assert not server.world.logged


async def test_failing_connection_is_logged_and_ends_alone(
    lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception within one connection ends that connection only, whatever raised it."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with serving() as server:
        bystander = await server.connect()
        await bystander.send(get())
        assert (await bystander.read_response()).status == 200
        with monkeypatch.context() as patch:
            if lane == FAST:
                patch.setattr(DirectConnection, "_answer_requests", fail)
            else:
                patch.setattr(Connection, "_read", fail)
            client = await server.connect()
            assert await client.read_to_end() == b""
        assert len(server.world.events("connection_failed")) == 1
        await bystander.send(get())
        assert (await bystander.read_response()).status == 200
        assert await alive(server)


async def test_connection_that_fails_while_cancelled_is_logged(
    lane: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that comes together with the server's own end is logged, and does not spread."""

    async def fail_in_two_ways(_: DirectConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await nursery.start(fail_once_cancelled)

    async def fail_once_cancelled(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        world.held.append(NOTHING)
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async def fail_at_the_end(_: Connection, protocol: HttpProtocol) -> None:
        await protocol.handle(RawData(get("/v1/world")))
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world, settings_with(shutdown_timeout_ms=50)) as server:
        with monkeypatch.context() as patch:
            if lane == FAST:
                patch.setattr(DirectConnection, "_answer_requests", fail_in_two_ways)
            else:
                patch.setattr(Connection, "_read", fail_at_the_end)
            await server.connect()
            await world.wait_held()
            server.stop.set()
            await server.stopped.wait()
        (event,) = world.events("connection_failed")
        assert event["exc_info"].subgroup(ZeroDivisionError) is not None


async def test_connection_that_fails_while_cancelled_is_cancelled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever cancelled it is not kept from that by what it failed with (fast lane)."""
    world = FakeWorld()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    edge = Edge(Router(()), log=world.log)
    refusals = Refusals(None, SETTINGS)
    lane = Lane(edge, SETTINGS, refusals=refusals, streams=None, log=world.log)

    async def answer_requests(_: DirectConnection) -> None:
        await fail_in_two_ways()

    monkeypatch.setattr(DirectConnection, "_answer_requests", answer_requests)
    with theirs, trio.move_on_after(0.01) as scope:
        await DirectConnection(ours, lane, "", math.inf).serve()
    assert scope.cancelled_caught
    assert ours.fileno() < 0
    (event,) = world.events("connection_failed")
    assert [type(error) for error in event["exc_info"].exceptions] == [ZeroDivisionError]


async def test_connection_accepted_during_shutdown_is_closed() -> None:
    """A client that is accepted when the shutdown has begun is let go at once."""
    world, context = FakeWorld(), WorkerContext(None)
    await context.terminated.set()
    ours, theirs = trio.socket.socketpair()
    connection = Connection(
        trio.SocketStream(ours),
        ASGIWrapper(cast("ASGIFramework", Flood())),
        config=Config(),
        context=context,
        settings=SETTINGS,
        room=Gate(SETTINGS).bodies,
        refusals=Refusals(None, SETTINGS),
        log=world.log,
    )
    with theirs, trio.fail_after(1):
        await connection.serve()
        assert await theirs.recv(1) == b""


async def test_connection_that_is_gone_before_it_is_served_is_forgotten() -> None:
    """A client that was reset between connect and accept is no error."""
    world = FakeWorld()
    never_connected = trio.SocketStream(trio.socket.socket())
    connection = Connection(
        never_connected,
        ASGIWrapper(cast("ASGIFramework", Flood())),
        config=Config(),
        context=WorkerContext(None),
        settings=SETTINGS,
        room=Gate(SETTINGS).bodies,
        refusals=Refusals(None, SETTINGS),
        log=world.log,
    )
    await connection.serve()
    assert never_connected.socket.fileno() == -1
    assert not world.logged


async def test_failing_application_is_answered_with_500() -> None:
    """An application that raises beneath every handler still gives its client an answer."""

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async with serving(app=broken) as server:
        client = await server.connect()
        await client.send(get())
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert len(server.world.events("asgi_failed")) == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests sent without waiting are answered one after another, each on its own."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz") + get("/v1/world") + get("/nope") + get("/readyz"))
        answers = [await client.read_response() for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 404, 200]
        assert b"testworld" in answers[1].body
        await client.aclose()


async def test_pipelined_requests_let_others_in_between() -> None:
    """Of all that came at once a few are answered in one turn of Trio's loop (fast lane)."""

    async def respond(_request: HttpRequest, _path: Mapping[str, str]) -> HttpResponse:
        taken.add()
        return HttpResponse(200, (), b"")

    log = FakeWorld().log
    edge = Edge(Router((Route("GET", "/x", "/x", respond),)), log=log)
    lane = Lane(edge, SETTINGS, refusals=Refusals(edge, SETTINGS), streams=None, log=log)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs, counting_steps() as taken:
        theirs.send(get("/x") * 64)
        theirs.shutdown(socket.SHUT_WR)
        await DirectConnection(ours, lane, "", math.inf).serve()
        assert theirs.recv(65_536).count(b"HTTP/1.1 200 ") == 64
    assert 0 < taken.largest <= 8


async def test_keep_alive_connection_serves_again_and_again() -> None:
    """A connection is kept for the next request unless the client wants it closed."""
    async with serving() as server:
        client = await server.connect()
        for _ in range(50):
            await client.send(get())
            response = await client.read_response()
            assert (response.status, response.headers.get("connection")) == (200, None)
        await client.send(get("/healthz", "Connection: close"))
        assert (await client.read_response()).status == 200
        assert await client.read_to_end() == b""


async def test_http_1_0_is_served_and_closed() -> None:
    """An HTTP/1.0 client gets its answer, and the end of the connection as its end."""
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"status":"ok"}')


async def test_request_in_many_pieces_is_one_request() -> None:
    """A request may come byte by byte."""
    async with serving() as server:
        client = await server.connect()
        for byte in post(f"Content-Length: {len(REGISTER)}", body=REGISTER):
            await client.send(bytes([byte]))
        assert (await client.read_response()).status == 201
        await client.aclose()


async def test_chunked_body_is_one_body() -> None:
    """A chunked body, with extensions and trailers, is put together."""
    async with serving() as server:
        client = await server.connect()
        body = b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nA: b\r\n\r\n" % (
            REGISTER[:5],
            len(REGISTER) - 5,
            REGISTER[5:],
        )
        await client.send(post("Transfer-Encoding: chunked", body=body))
        assert (await client.read_response()).status == 201
        await client.aclose()


async def test_expect_100_continue_is_answered() -> None:
    """A client that asks before it sends its body is told to go on."""
    async with serving() as server:
        client = await server.connect()
        await client.send(post("Expect: 100-continue", f"Content-Length: {len(REGISTER)}"))
        assert (await client.stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await client.send(REGISTER)
        assert (await client.read_response()).status == 201
        await client.aclose()


@pytest.mark.parametrize(
    ("version", "headers"),
    [(b"1.1", ()), (b"1.1", ("Expect: x",)), (b"1.0", ("Expect: 100-continue",))],
)
async def test_client_that_does_not_wait_for_it_is_not_told_to_continue(
    version: bytes, headers: tuple[str, ...]
) -> None:
    """Nor one of HTTP/1.0, which would take it for the answer (RFC 9110, 10.1.1)."""
    async with serving() as server:
        client = await server.connect()
        head = post("Connection: close", *headers, f"Content-Length: {len(REGISTER)}")
        await client.send(head.replace(b"HTTP/1.1", b"HTTP/" + version))
        await wait_all_tasks_blocked(0.01)
        await client.send(REGISTER)
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 201 ")


async def test_client_that_goes_away_loses_the_answer_and_not_the_effect() -> None:
    """An order that was handed to its actor takes effect though its client has reset."""
    world = FakeWorld()
    world.answers[PlaceOrder] = SILENT
    async with serving(world) as server:
        client = await server.connect()
        body = b'{"asset":"metal_mine"}'
        token = f"Authorization: {BEARER['Authorization']}"
        head = get(
            "/v1/inventory/orders", token, "Idempotency-Key: k", f"Content-Length: {len(body)}"
        )
        await client.send(head.replace(b"GET", b"POST") + body)
        await world.wait_held()
        client.reset()
        await server.wait_connections_closed(keeping=0)
        assert len(world.asked_for(PlaceOrder)) == 1
        assert world.held[0].reply is not None
        assert world.held[0].reply.send_nowait("too late") is False
        assert await alive(server)
        assert not world.logged


async def test_slow_head_ends_the_connection() -> None:
    """A client that does not finish its request line in time is closed."""
    settings = settings_with(read_timeout_ms=100, keep_alive_timeout_ms=60_000)
    async with serving(settings=settings) as server:
        client = await server.connect()
        await client.send(b"GET /healthz HTTP/1.1\r\nHo")
        await trio.sleep(0.05)
        await client.send(b"st: ")
        with trio.fail_after(2):
            assert await client.read_to_end() == b""
        assert await alive(server)


async def test_slow_body_is_408_and_ends_the_connection() -> None:
    """A client that does not finish its body in time is told so, then closed."""
    async with serving(settings=settings_with(body_timeout_ms=100)) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 100", body=b"{"))
        response = await client.read_response()
        assert response.status == 408
        assert msgspec.json.decode(response.body)["type"] == "/problems/request-timeout"
        assert await client.read_to_end() == b""


async def test_idle_connection_is_closed_in_time() -> None:
    """A connection without a request is kept for its time, before the first and after the last."""
    settings = settings_with(keep_alive_timeout_ms=100, first_byte_timeout_ms=100)
    async with serving(settings=settings) as server:
        silent = await server.connect()
        with trio.fail_after(2):
            assert await silent.read_to_end() == b""
        client = await server.connect()
        await client.send(get())
        assert (await client.read_response()).status == 200
        with trio.fail_after(2):
            assert await client.read_to_end() == b""


async def test_waiting_for_an_actor_is_not_idleness() -> None:
    """Neither the idle nor the read timeout touches a client that waits for its answer."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    settings = settings_with(keep_alive_timeout_ms=50, read_timeout_ms=50)
    async with serving(world, settings) as server:
        client = await server.connect()
        await client.send(get("/v1/world"))
        await trio.sleep(0.2)
        assert world.held[0].reply is not None
        world.held[0].reply.send_nowait(World("w", 1, 1_000, NOW_MS))
        assert (await client.read_response()).status == 200
        await client.aclose()


async def test_client_that_never_reads_is_cut_off() -> None:
    """A client that does not take its answer holds its connection no longer than the deadline."""
    settings = settings_with(send_timeout_ms=150)
    async with serving(settings=settings, app=Flood()) as server:
        client = await server.connect(receive_buffer=4_096)
        await client.send(get())
        await server.wait_connection_open()
        started = trio.current_time()
        await server.wait_connections_closed(keeping=0)
        assert trio.current_time() - started < 1.5
        assert len(server.world.events("client_stalled")) == 1
        assert await client.is_reset()


async def test_client_that_never_reads_pipelined_answers_is_cut_off() -> None:
    """Requests that wait behind an answer nobody takes do not keep the connection either."""
    settings = settings_with(send_timeout_ms=150)
    async with serving(settings=settings, app=Flood()) as server:
        client = await server.connect(receive_buffer=4_096)
        await client.send(get() * 20)
        await server.wait_connection_open()
        await server.wait_connections_closed(keeping=0)
        await client.aclose()


async def test_too_many_connections_are_told_so() -> None:
    """Beyond the limit a client gets 503 and a closed connection; a place that is freed is used."""
    async with serving(settings=settings_with(connections_max=2)) as server:
        first, second = await server.connect(), await server.connect()
        for client in (first, second):
            await client.send(get())
            assert (await client.read_response()).status == 200
        third = await server.connect()
        response = await third.read_response()
        assert response.status == 503
        assert response.headers["retry-after"] == "1"
        assert response.headers["x-request-id"]
        assert msgspec.json.decode(response.body)["type"] == "/problems/overloaded"
        await third.send(b"whatever it says now")
        await third.aclose()
        (await server.connect()).reset()
        await first.aclose()
        await server.wait_connections_closed(keeping=1)
        fourth = await server.connect()
        await fourth.send(get())
        assert (await fourth.read_response()).status == 200
        await fourth.aclose()
        await second.aclose()


async def test_refusals_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients beyond the limit who do not read their refusal cannot pile up either."""
    monkeypatch.setattr(server_module, "REFUSAL_S", 30)  # None is given up meanwhile.
    async with serving(settings=settings_with(connections_max=1)) as server:
        holder = await server.connect()
        await holder.send(get())
        assert (await holder.read_response()).status == 200
        waiting = [await server.connect() for _ in range(150)]
        answers = [await client.read_to_end() for client in waiting]
        told = [answer for answer in answers if answer]
        assert 0 < len(told) < len(answers)
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in told)
        await holder.aclose()


async def test_connections_leave_nothing_behind() -> None:
    """Whatever way a connection ends, the server forgets it."""
    async with serving() as server:
        for data in (b"", b"GET", get(), get() + b"junk", post("Content-Length: 9", body=b"x")):
            client = await server.connect()
            if data:
                await client.send(data)
            client.reset()
            client = await server.connect()
            if data:
                await client.send(data)
            await client.aclose()
        await server.wait_connections_closed(keeping=0)
        assert not server.world.logged


async def test_random_bytes_never_hurt_the_server() -> None:
    """Damaged requests are answered with 4xx or 501/505, or closed; the server logs nothing."""
    rng = random.Random(20260301)
    samples = [
        get("/v1/world", "Accept: */*"),
        post(f"Content-Length: {len(REGISTER)}", body=REGISTER),
        post("Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        get("/v1/inventory?a=b", f"Authorization: {BEARER['Authorization']}", *UPGRADE),
    ]
    fine = {200, 201, 400, 401, 404, 405, 408, 413, 415, 422, 431, 501, 505}
    async with serving(settings=settings_with(read_timeout_ms=60)) as server:
        for _ in range(250):
            data = damaged(rng, rng.choice(samples))
            client = await server.connect()
            await client.send(data)
            await client.stream.send_eof()
            answer = await client.read_to_end()
            for line in answer.split(b"\r\n"):
                at = line.find(b"HTTP/1.1 ")
                assert at < 0 or int(line[at + 9 : at + 12]) in fine | {100}, (data, answer)
            await client.aclose()
        await server.wait_connections_closed(keeping=0)
        assert not server.world.logged
        assert await alive(server)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Change a request in a few places."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed))
        what = rng.choice(
            [b"", b"\0", b"\r\n", b"\n", b" ", b"\xff", b":", b"%", bytes([rng.randrange(256)])]
        )
        changed[at : at + rng.randint(0, 3)] = what
    return bytes(changed)
