"""Listening and letting go: ports, timely shutdown, cancellation."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import trio

from actors.ticker.messages import GetWorld, World
from app.http import server as server_module
from app.http.asgi.connection import Connection
from app.http.direct import DirectConnection
from app.http.edge import make_edge
from app.http.errors import HttpBindError
from app.http.listeners import open_listeners
from app.http.server import ENDED_MAX, serve_http
from tests.app.http.harness import (
    NOW_MS,
    PAGES,
    SILENT,
    TABLE,
    FakeWorld,
    get,
    serving,
    settings_with,
)
from tests.app.http.support import post

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


pytestmark = pytest.mark.usefixtures("lane")


async def test_port_0_reports_the_port_that_was_picked() -> None:
    """With port 0 the server reports the port it listens on."""
    async with serving() as server:
        assert server.port > 0
        assert (await server.client.get("/healthz")).status_code == 200


async def test_port_in_use_is_one_clear_line() -> None:
    """A second server on the same port fails before it serves anything, and says why."""
    async with serving() as server:
        world = FakeWorld()
        settings = settings_with(port=server.port)
        edge = make_edge(world.gateway(), settings, TABLE, pages=PAGES, log=world.log)
        with pytest.raises(HttpBindError) as error:
            await serve_http(edge, settings, shutdown=trio.sleep_forever, log=world.log)
        assert str(error.value) == (
            f"cannot listen on 127.0.0.1:{server.port}: Address already in use"
        )


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="not of this system")
async def test_client_that_lost_its_network_is_not_kept_for_a_quarter_of_an_hour() -> None:
    """A client that acknowledges nothing for 45 s is gone: the system says so, per connection."""
    [listener], port = await open_listeners("127.0.0.1", 0, 10)
    async with (
        listener,
        await trio.open_tcp_stream("127.0.0.1", port),
        await listener.accept() as s,
    ):
        assert s.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 45_000


@pytest.mark.parametrize(
    "host",
    ["203.0.113.1", "no-such-host.invalid", "fe80::dead%nope", "1..1", "a" * 64, "\0", "\udcff"],
)
async def test_address_that_is_not_ours_is_one_clear_line(host: str) -> None:
    """An address of another machine, or an invalid one, is refused and named in the message."""
    with pytest.raises(HttpBindError) as error:
        await open_listeners(host, 8470, 10)
    assert str(error.value).startswith("cannot listen on ")
    assert host in str(error.value)
    assert "\n" not in str(error.value)


def test_bind_error_shows_an_ipv6_address_in_brackets() -> None:
    """The message shows clearly where the host ends and the port begins."""
    assert str(HttpBindError("::1", 80, "why")) == "cannot listen on [::1]:80: why"


async def test_every_address_of_a_host_has_the_same_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name with several addresses is listened to on all that this machine has, on one port."""
    with monkeypatch.context() as patch:
        patch.setattr(
            trio.socket,
            "getaddrinfo",
            resolving_to(
                (socket.AF_INET, ("203.0.113.1", 0)),
                (socket.AF_INET, ("127.0.0.1", 0)),
                (socket.AF_INET6, ("::1", 0, 0, 0)),
            ),
        )
        listeners, port = await open_listeners("everywhere", 0, 10)
    try:
        assert {listener.socket.getsockname()[1] for listener in listeners} == {port}
        families = {listener.socket.family for listener in listeners}
        assert families in ({socket.AF_INET}, {socket.AF_INET, socket.AF_INET6})
    finally:
        for listener in listeners:
            await listener.aclose()


async def test_everywhere_is_no_name_to_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """All addresses are requested as such: how "*" resolves as a name depends on the system."""
    asked: list[object] = []
    found = resolving_to((socket.AF_INET, ("0.0.0.0", 0)), (socket.AF_INET6, ("::", 0, 0, 0)))  # noqa: S104

    async def resolve(host: object, *rest: object, **options: object) -> list[Any]:
        asked.append(host)
        return list(await found(host, *rest, **options))

    with monkeypatch.context() as patch:
        patch.setattr(trio.socket, "getaddrinfo", resolve)
        listeners, port = await open_listeners("*", 0, 10)
    try:
        assert asked == [None]
        for listener in listeners:
            address = "127.0.0.1" if listener.socket.family == socket.AF_INET else "::1"
            await (await trio.open_tcp_stream(address, port)).aclose()
    finally:
        for listener in listeners:
            await listener.aclose()


def resolving_to(
    *found: tuple[int, tuple[str | int, ...]],
) -> Callable[..., Awaitable[list[Any]]]:
    """Make a resolver that finds these addresses."""

    async def resolve(*_: object, **__: object) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return [(family, 0, 0, "", address) for family, address in found]

    return resolve


async def test_failed_bind_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a later address cannot be bound, the earlier ones are released."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        both = [(socket.AF_INET, (host, port)) for host in ("127.0.0.1", "127.0.0.2")]
        with monkeypatch.context() as patch:
            patch.setattr(trio.socket, "getaddrinfo", resolving_to(*both))
            with pytest.raises(HttpBindError, match="in use"):
                await open_listeners("both", port, 10)
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))


async def test_shutdown_closes_idle_connections_at_once() -> None:
    """Clients that only keep their connection open do not delay the shutdown."""
    async with serving() as server:
        idle = [await server.connect() for _ in range(20)]
        for client in idle[:10]:
            await client.send(get())
            assert (await client.read_response()).status == 200
        await idle[15].send(b"GET /heal")
        started = trio.current_time()
        server.stop.set()
        await server.stopped.wait()
        assert trio.current_time() - started < 0.5
        for client in idle:
            assert await client.read_to_end() == b""
        assert not server.world.logged


async def test_shutdown_lets_a_request_in_flight_finish() -> None:
    """A client waiting for its answer gets it, and learns that the connection ends."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world) as server:
        client = await server.connect()
        await client.send(get("/v1/world"))
        await world.wait_held()
        server.stop.set()
        await trio.sleep(0.05)
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("127.0.0.1", server.port)
        assert not server.stopped.is_set()
        assert world.held[0].reply is not None
        world.held[0].reply.send_nowait(World("w", 1, 1_000, NOW_MS))
        response = await client.read_response()
        assert response.status == 200
        assert response.headers["connection"] == "close"
        assert await client.read_to_end() == b""
        await server.stopped.wait()
        assert not world.logged


@pytest.mark.parametrize("request_bytes", [get("/v1/world"), post("Content-Length: 9", body=b"{")])
async def test_shutdown_is_over_in_time_whatever_hangs(request_bytes: bytes) -> None:
    """A silent actor, or half a body, costs a shutdown its deadline and no more."""
    world = FakeWorld()
    world.answers[GetWorld] = SILENT
    async with serving(world, settings_with(shutdown_timeout_ms=150)) as server:
        client = await server.connect()
        await client.send(request_bytes)
        await server.wait_connection_open()
        await trio.sleep(0.05)
        started = trio.current_time()
        server.stop.set()
        await server.stopped.wait()
        assert trio.current_time() - started < 0.6
        assert len(world.events("http_connections_aborted")) == 1
        assert server.outcomes == [False]
        await client.aclose()


class Paced(trio.abc.Instrument):
    """Counts what is done to connections in each turn of the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
        """Count calls of the method ``what`` of a connection of either lane."""
        self.turns = [0]
        for kind in (DirectConnection, Connection):
            monkeypatch.setattr(kind, what, self._counted(getattr(kind, what)))

    def _counted(self, method: Callable[..., None]) -> Callable[..., None]:
        def count(connection: object) -> None:
            self.turns[-1] += 1
            method(connection)

        return count

    def before_io_wait(self, timeout: float) -> None:
        """Begin a new turn."""
        self.turns.append(0)


@pytest.mark.parametrize("what", ["drain", "abort"])
async def test_shutdown_ends_many_connections_in_several_turns(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Thousands in one turn would keep the shutdown's own deadlines waiting for seconds.

    Whether they are told or, past the deadline, cut off: others run in between.
    """
    count, world = 10 * ENDED_MAX, FakeWorld()
    world.answers[GetWorld] = SILENT
    timeout_ms = 50 if what == "abort" else 10_000
    async with serving(world, settings_with(shutdown_timeout_ms=timeout_ms)) as server:
        for _ in range(count):
            client = await server.connect()
            await client.send(get("/v1/world") if what == "abort" else get())
        held = count if what == "abort" else 0
        while server.traffic.connections_open < count or len(world.held) < held:  # noqa: ASYNC110
            await trio.sleep(0.005)
        paced = Paced(monkeypatch, what)
        trio.lowlevel.add_instrument(paced)
        server.stop.set()
        await server.stopped.wait()
        trio.lowlevel.remove_instrument(paced)
        # One whose answer was just being sent has ended by itself.
        assert sum(paced.turns) > count // 2
        assert max(paced.turns) <= ENDED_MAX
        assert len(world.events("http_connections_aborted")) == (what == "abort")
        assert server.outcomes == [what == "drain"]


async def test_server_can_be_started_again_on_its_port() -> None:
    """After a shutdown the port is free at once, even if connections have just ended."""
    async with serving() as server:
        client = await server.connect()
        await client.send(get("/healthz", "Connection: close"))
        assert (await client.read_response()).status == 200
        server.stop.set()
        await server.stopped.wait()
        async with serving(settings=settings_with(port=server.port)) as second:
            assert (await second.client.get("/healthz")).status_code == 200


async def test_connections_without_files_left_wait_and_fill_no_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If the system has no sockets left, accepting is retried often and logged rarely."""
    tries: list[object] = []

    def no_files_left(sock: object) -> NoReturn:
        tries.append(sock)
        raise OSError(errno.EMFILE, "Too many open files")

    async with serving() as server:
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "accept", no_files_left)
            patch.setattr(server_module, "EXHAUSTED_LOG_S", 60.0)
            client = await server.connect()
            await client.send(get())
            with trio.fail_after(10):
                while len(tries) < 3:  # noqa: ASYNC110 - the system does not announce it
                    await trio.sleep(0.01)
        assert (await client.read_response()).status == 200
        [told] = server.world.logged
        assert (told["event"], told["reason"]) == ("accept_failed", "Too many open files")
