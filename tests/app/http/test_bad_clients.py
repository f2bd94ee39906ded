"""Bad clients on real sockets: each harms its own connection and no other."""

from __future__ import annotations

import random

import msgspec
import pytest
import trio

from actors.inventory.messages import PlaceOrder
from app.http import server as server_module
from tests.app.http.harness import BEARER, SILENT, FakeWorld, get, serving, settings_with
from tests.app.http.support import REGISTER, alive, flooding, post

pytestmark = pytest.mark.usefixtures("lane")

UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


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
    """A request that is not HTTP/1.1 gets a problem with an id, then the connection ends."""
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
    """Data hidden behind contradictory lengths is not read as a second request."""
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


async def test_client_that_goes_away_loses_the_answer_and_not_the_effect() -> None:
    """An order handed to its actor takes effect even if its client has reset."""
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
    """A client that does not finish its request line in time is disconnected."""
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
    """A client that does not finish its body in time gets 408, then a closed connection."""
    async with serving(settings=settings_with(body_timeout_ms=100)) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 100", body=b"{"))
        response = await client.read_response()
        assert response.status == 408
        assert msgspec.json.decode(response.body)["type"] == "/problems/request-timeout"
        assert await client.read_to_end() == b""


async def test_client_that_never_reads_is_cut_off() -> None:
    """A client that does not read its answer holds its connection no longer than the deadline."""
    settings = settings_with(send_timeout_ms=150)
    async with serving(settings=settings, pages=flooding()) as server:
        client = await server.connect(receive_buffer=4_096)
        await client.send(get("/flood"))
        await server.wait_connection_open()
        started = trio.current_time()
        await server.wait_connections_closed(keeping=0)
        assert trio.current_time() - started < 1.5
        assert len(server.world.events("client_stalled")) == 1
        assert await client.is_reset()


async def test_client_that_never_reads_pipelined_answers_is_cut_off() -> None:
    """Nor do requests that wait behind an unread answer keep the connection."""
    settings = settings_with(send_timeout_ms=150)
    async with serving(settings=settings, pages=flooding()) as server:
        client = await server.connect(receive_buffer=4_096)
        await client.send(get("/flood") * 20)
        await server.wait_connection_open()
        await server.wait_connections_closed(keeping=0)
        await client.aclose()


async def test_too_many_connections_are_told_so() -> None:
    """Beyond the limit a client gets 503 and a closed connection; a freed place is reused."""
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
    """Clients beyond the limit that do not read their refusal cannot pile up either."""
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
    """However a connection ends, the server forgets it."""
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
    """Damaged requests get 4xx or 501/505, or a closed connection; the server logs nothing."""
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
