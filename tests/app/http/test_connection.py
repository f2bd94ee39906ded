"""Requests on a connection: single, pipelined, whole or in pieces, and how long it stays open."""

from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from trio.testing import wait_all_tasks_blocked

from actors.ticker.messages import GetWorld, World
from app.http.asgi.connection import Connection
from app.http.direct import DirectConnection
from app.http.direct.lane import Lane
from app.http.edge import Edge
from app.http.exchange import HttpRequest, HttpResponse
from app.http.gate import Gate
from app.http.refusals import Refusals
from app.http.routes import Route, Router
from tests.actors.storage.support import counting_steps
from tests.app.http.harness import NOW_MS, SETTINGS, SILENT, FakeWorld, get, serving, settings_with
from tests.app.http.support import REGISTER, post

if TYPE_CHECKING:
    from collections.abc import Mapping


pytestmark = pytest.mark.usefixtures("lane")


async def test_connection_accepted_during_shutdown_is_closed() -> None:
    """A client that is accepted after the shutdown has begun is disconnected at once."""
    world, context = FakeWorld(), WorkerContext(None)
    await context.terminated.set()
    ours, theirs = trio.socket.socketpair()
    connection = Connection(
        trio.SocketStream(ours),
        cast("Any", None),
        config=Config(),
        context=context,
        settings=SETTINGS,
        room=Gate(SETTINGS).bodies,
        refusals=cast("Any", None),
        log=world.log,
    )
    with theirs, trio.fail_after(1):
        await connection.serve()
        assert await theirs.recv(1) == b""


async def test_connection_that_is_gone_before_it_is_served_is_forgotten() -> None:
    """A client that reset between connect and accept is no error."""
    world = FakeWorld()
    never_connected = trio.SocketStream(trio.socket.socket())
    connection = Connection(
        never_connected,
        cast("Any", None),
        config=Config(),
        context=WorkerContext(None),
        settings=SETTINGS,
        room=Gate(SETTINGS).bodies,
        refusals=cast("Any", None),
        log=world.log,
    )
    await connection.serve()
    assert never_connected.socket.fileno() == -1
    assert not world.logged


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Pipelined requests are answered one after another, each on its own."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz") + get("/v1/world") + get("/nope") + get("/readyz"))
        answers = [await client.read_response() for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 404, 200]
        assert b"testworld" in answers[1].body
        await client.aclose()


async def test_pipelined_requests_let_others_in_between() -> None:
    """A few pipelined requests are answered per turn of Trio's loop (fast lane)."""

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
    """An HTTP/1.0 client gets an answer that ends with the connection."""
    async with serving() as server:
        client = await server.connect()
        await client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"status":"ok"}')


async def test_request_in_many_pieces_is_one_request() -> None:
    """A request may arrive byte by byte."""
    async with serving() as server:
        client = await server.connect()
        for byte in post(f"Content-Length: {len(REGISTER)}", body=REGISTER):
            await client.send(bytes([byte]))
        assert (await client.read_response()).status == 201
        await client.aclose()


async def test_chunked_body_is_one_body() -> None:
    """A chunked body, with extensions and trailers, is reassembled."""
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
    """A client that asks before it sends its body is told to continue."""
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
    """Nor is an HTTP/1.0 client, which would take it for the answer (RFC 9110, 10.1.1)."""
    async with serving() as server:
        client = await server.connect()
        head = post("Connection: close", *headers, f"Content-Length: {len(REGISTER)}")
        await client.send(head.replace(b"HTTP/1.1", b"HTTP/" + version))
        await wait_all_tasks_blocked(0.01)
        await client.send(REGISTER)
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 201 ")


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
    """Neither the idle nor the read timeout affects a client that waits for its answer."""
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
