"""Clients that take more than their share, on real sockets and through both lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from app.http import server as server_module
from app.http.addresses import Addresses
from app.http.listeners import accept_connections
from tests.app.http.harness import RawResponse, get, serving, settings_with
from tests.app.http.support import alive, post

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.app.http.harness import RawClient, Serving

pytestmark = pytest.mark.usefixtures("lane")

SOON_S = 2.0
"""Long after any deadline under test here, and long before any other."""


def slug(response: RawResponse) -> str:
    """Return which problem an answer is."""
    kind: str = msgspec.json.decode(response.body)["type"]
    return kind.removeprefix("/problems/")


async def closed(client: RawClient) -> bytes:
    """Read to the end, which must come soon."""
    with trio.fail_after(SOON_S):
        return await client.read_to_end()


async def refused(server: Serving, request: bytes) -> str:
    """Send a request; return the problem, after which the connection must be closed."""
    client = await server.connect()
    await client.send(request)
    response = await client.read_response()
    assert response.headers["connection"] == "close"
    assert await closed(client) == b""
    assert await alive(server)
    return slug(response)


async def test_too_many_headers_are_431() -> None:
    """The number of headers has a limit of its own."""
    many = [f"A{number}: b" for number in range(20)]
    async with serving(settings=settings_with(headers_max=20)) as server:
        assert await refused(server, get("/healthz", *many)) == "headers-too-large"
        client = await server.connect()
        await client.send(get("/healthz", *many[:19]))
        assert (await client.read_response()).status == 200


async def test_too_long_target_is_414() -> None:
    """So has the path with its query."""
    async with serving(settings=settings_with(max_target_bytes=100)) as server:
        assert await refused(server, get("/healthz?" + "a" * 100)) == "target-too-long"


async def test_body_of_many_small_chunks_is_413() -> None:
    """One-byte chunks cost more work than they bring; a few of them do no harm."""
    async with serving(settings=settings_with(max_header_bytes=1_024)) as server:
        head = post("Transfer-Encoding: chunked")
        assert await refused(server, head + b"1\r\n \r\n" * 500) == "payload-too-large"
        client = await server.connect()
        body = b'{"username":"ada","password":"correct horse"}'
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        await client.send(head + chunks + b"0\r\n\r\n")
        assert (await client.read_response()).status == 201


async def test_head_without_an_end_is_431() -> None:
    """A head larger than the limit is not awaited."""
    async with serving(settings=settings_with(max_header_bytes=1_024)) as server:
        assert await refused(server, get()[:-2] + b"A: " + b"b" * 2_000) == "headers-too-large"


async def test_body_in_endless_chunks_is_413() -> None:
    """Chunks are not read beyond the limit of a body."""
    async with serving() as server:
        client = await server.connect()
        await client.send(post("Transfer-Encoding: chunked"))
        with trio.fail_after(SOON_S):
            try:
                while True:
                    await client.send(b"100\r\n" + b" " * 256 + b"\r\n")
                    await trio.sleep(0.001)
            except trio.BrokenResourceError:
                pass
        assert await alive(server)
    async with serving() as server:
        endless = post("Transfer-Encoding: chunked", body=b"400\r\n" + b" " * 1_024 + b"\r\n") * 3
        client = await server.connect()
        await client.send(endless[: len(post("Transfer-Encoding: chunked"))])
        await client.send((b"400\r\n" + b" " * 1_024 + b"\r\n") * 3)
        assert slug(await client.read_response()) == "payload-too-large"
        await client.aclose()


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello world\r\n",
        b"5 5\r\n",
        b"-1\r\n",
        b"5\r\nhelloX\r\n",
        b"2 ;x\r\n{}\r\n0\r\n\r\n",
        b"2\t;x=y\r\n{}\r\n0\r\n\r\n",
    ],
)
async def test_chunk_that_lies_is_400(body: bytes) -> None:
    """A chunk has the length it states, and its lines allow no other reading."""
    async with serving() as server:
        request = post("Transfer-Encoding: chunked", body=body)
        assert await refused(server, request) == "malformed-request"
        assert server.world.asked == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_tunnels_and_echoes_are_405_and_the_end(method: str) -> None:
    """What would carry another protocol, or echo a request's headers, is not served."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz").replace(b"GET", method.encode(), 1) + get())
        response = await client.read_response(b"POST")
        assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
        assert response.headers["connection"] == "close"
        assert await closed(client) == b""


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\nHost: x\n\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\nC: d\r\n\r\n",
        get("/healthz", "A: b", " c"),
        get("/healthz", "A : b"),
        get("http://x/healthz"),
        get("/healthz", "Host: y"),
        get("/healthz", "A: \x01"),
        post("Content-Length: 2", "Content-Length: 2", body=b"{}"),
        b"\r\n" + get(),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_request_that_could_be_smuggled_is_400(request_bytes: bytes) -> None:
    """Whatever another server could read differently is refused by both lanes alike."""
    async with serving() as server:
        assert await refused(server, request_bytes) == "malformed-request"


@pytest.mark.parametrize("host", ["", ".x", "x..y", "x" * 64, "a_b", "-", "x:99999"])
async def test_host_may_be_any_name(host: str) -> None:
    """What RFC 3986 calls a host is served, whether or not the DNS could have such a name."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz").replace(b"Host: x", f"Host: {host}".encode(), 1))
        assert (await client.read_response()).status == 200


async def test_silent_connection_is_closed() -> None:
    """A client that connects and says nothing has its own deadline."""
    async with serving(settings=settings_with(first_byte_timeout_ms=100)) as server:
        client = await server.connect()
        assert await closed(client) == b""
        served = await server.connect()
        await served.send(get())
        assert (await served.read_response()).status == 200
        await trio.sleep(0.3)
        await served.send(get())
        assert (await served.read_response()).status == 200


async def test_dripping_head_is_closed() -> None:
    """A byte now and then does not extend the deadline of a head, on any request."""
    async with serving(settings=settings_with(read_timeout_ms=150)) as server:
        client = await server.connect()
        await client.send(get())
        assert (await client.read_response()).status == 200
        with trio.fail_after(SOON_S):
            try:
                for byte in get("/healthz", "A: " + "b" * 10_000):
                    await client.send(bytes([byte]))
                    await trio.sleep(0.02)
            except trio.BrokenResourceError:
                pass
            else:
                raise AssertionError


async def test_dripping_body_is_408() -> None:
    """Nor the deadline of a body."""
    async with serving(settings=settings_with(body_timeout_ms=150)) as server:
        client = await server.connect()
        await client.send(post("Content-Length: 2000"))

        async def drip() -> None:
            for _ in range(100):
                await client.send(b" ")
                await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            assert slug(await client.read_response()) == "request-timeout"
            nursery.cancel_scope.cancel()


async def test_connections_of_one_address_are_limited() -> None:
    """One address may not take them all, unless it is exempt."""
    settings = settings_with(connections_per_address_max=2)
    async with serving(settings=settings) as server:
        clients = [await server.connect() for _ in range(2)]
        for client in clients:
            await client.send(get())
            assert (await client.read_response()).status == 200
        third = await server.connect()
        assert slug(await third.read_response()) == "overloaded"
        await clients[0].aclose()
        await server.wait_connections_closed(keeping=1)
        assert await alive(server)
    exempt = replace(settings, exempt_addresses=Addresses.parse("10.0.0.1, 127.0.0.0/8"))
    async with serving(settings=exempt) as server:
        for _ in range(4):
            client = await server.connect()
            await client.send(get())
            assert (await client.read_response()).status == 200


async def test_connections_of_one_ipv6_network_are_those_of_one_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A whole network has one client's connections, as with requests."""
    addresses = iter(["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"])

    async def accept_from_afar(
        listeners: Any, handle: Callable[[Any, str], Awaitable[None]], nursery: Any, tell: Any
    ) -> None:
        async def handle_as(sock: Any, _: str) -> None:
            await handle(sock, next(addresses))

        await accept_connections(listeners, handle_as, nursery, tell)

    monkeypatch.setattr(server_module, "accept_connections", accept_from_afar)
    async with serving(settings=settings_with(connections_per_address_max=2)) as server:
        statuses: list[int] = []
        for _ in range(4):
            client = await server.connect()
            await client.send(get())
            statuses.append((await client.read_response()).status)
        assert statuses == [200, 200, 503, 200]


async def test_pipelined_requests_are_answered_up_to_the_limit() -> None:
    """A client that keeps sending without waiting is answered in order, then disconnected."""
    async with serving(settings=settings_with(pipelined_max=5)) as server:
        client = await server.connect()
        await client.send(get() * 20)
        answers = await closed(client)
        assert answers.count(b"HTTP/1.1 200 ") == 5
        assert answers.count(b"connection: close") == 1
        waiting = await server.connect()
        for _ in range(20):
            await waiting.send(get())
            assert (await waiting.read_response()).headers.get("connection") is None


async def test_client_that_has_sent_ahead_reads_every_answer() -> None:
    """Data sent before it can know that the connection ends does not reset it.

    A reset would drop answers still in flight, to commands that have taken effect.
    """
    async with serving(settings=settings_with(pipelined_max=6)) as server:
        client = await server.connect(receive_buffer=4_096)
        await client.send(get("/") * 6)
        while sum(server.traffic.requests.values()) < 6:  # noqa: ASYNC110 - as above
            await trio.sleep(0.005)
        await trio.sleep(0.05)  # Until the last of them was handed to the system.
        await client.send(get() * 6)
        received = b""
        async for chunk in client.stream:
            received += chunk
        assert received.count(b"</html>") == 6


async def test_refused_request_with_a_whole_body_leaves_the_connection() -> None:
    """Only an unread body costs a connection."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/nowhere"))
        assert (await client.read_response()).headers.get("connection") is None
        await client.send(get("/nowhere", "Content-Length: 50000"))
        assert (await client.read_response()).headers["connection"] == "close"


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("", [], ["127.0.0.1", "::1", ""]),
        ("127.0.0.0/8, ::1", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"], ["128.0.0.1"]),
        ("fe80::/10", ["fe80::1%eth0"], ["::1", "not an address", "10.0.0.1"]),
        ("::ffff:10.0.0.1", ["10.0.0.1", "::ffff:10.0.0.1"], ["10.0.0.2", "::a00:1"]),
        ("::ffff:10.0.0.0/104", ["10.9.9.9"], ["11.0.0.1"]),
        ("::/0", ["::1", "2001:db8::1"], ["10.0.0.1"]),
    ],
)
def test_addresses_hold_what_they_say(text: str, inside: list[str], outside: list[str]) -> None:
    """Single addresses, networks, and IPv4 in its IPv6 form."""
    addresses = Addresses.parse(text)
    assert all(each in addresses for each in inside)
    assert not any(each in addresses for each in outside)


@pytest.mark.parametrize("text", ["x", "127.0.0.1/8", "1.2.3", "127.0.0.1 ::1"])
def test_addresses_that_are_none_are_refused(text: str) -> None:
    """A configuration error is not ignored."""
    with pytest.raises(ValueError, match=r".+"):
        Addresses.parse(text)
