"""What the edge counts, logs and binds for the requests that pass through it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from app.http import instruments as instruments_module
from app.http.asgi.edge import AsgiEdge
from app.http.edge import Edge
from app.http.instruments import AccessLog, Instruments
from app.http.routes import Router
from app.http.traffic import Traffic
from app.http.trail import Trail
from app.logs import bind_handled, handling
from tests.app.http.harness import FakeWorld, get, serving, settings_with

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, MutableMapping

    from trio.testing import MockClock

    from app.http.asgi.edge import AsgiApp, Event, Receive, Scope, Send


async def through(app: AsgiApp, instruments: Instruments, log: Any = None, **scope: Any) -> None:
    """Send one request through an edge around ``app``."""

    async def receive() -> Event:
        await trio.sleep_forever()
        raise AssertionError

    async def send(event: Event) -> None:
        await trio.lowlevel.checkpoint()

    whole: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/x",
        "headers": [],
        "client": ("192.0.2.7", 1),
        **scope,
    }
    edge = Edge(Router(()), log=log or FakeWorld().log, instruments=instruments)
    await AsgiEdge(app, edge)(whole, receive, send)


def answering(status: int, *, route: str = "/x", after_s: float = 0) -> AsgiApp:
    """Make an application that finds the route, and answers after a while."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["trail"].route = route
        await trio.sleep(after_s)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await trio.sleep(100)
        await send({"type": "http.response.body", "body": b""})

    return app


async def test_edge_counts_by_method_route_and_status(autojump_clock: MockClock) -> None:
    """Each answer counts once by kind; its duration lasts until it begins, not until it ends."""
    traffic = Traffic()
    instruments = Instruments(traffic)
    await through(answering(200, after_s=0.03), instruments)
    await through(answering(200, after_s=2), instruments)
    await through(answering(404), instruments, method="DELETE")
    assert traffic.requests == {("GET", "/x", 200): 2, ("DELETE", "/x", 404): 1}
    latency = traffic.latencies["GET", "/x"]
    assert (latency.count, latency.sum) == (2, pytest.approx(2.03))
    assert dict(latency.buckets())["0.05"] == 1
    assert traffic.abandonments == 0


async def test_edge_counts_an_answer_before_it_is_sent() -> None:
    """A client that has its answer finds it already counted."""
    traffic = Traffic()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        assert traffic.requests == {("GET", "unmatched", 200): 1}

    await through(app, Instruments(traffic))
    assert len(traffic.requests) == 1


async def test_edge_counts_what_was_abandoned(autojump_clock: MockClock) -> None:
    """A request cancelled before its answer begins is counted only as abandoned."""
    traffic = Traffic()
    with trio.move_on_after(1):
        await through(answering(200, after_s=5), Instruments(traffic))
    with trio.move_on_after(1):
        await through(answering(200), Instruments(traffic))
    assert traffic.abandonments == 1
    assert traffic.requests == {("GET", "/x", 200): 1}


async def test_edge_counts_failures_of_the_application() -> None:
    """An error that escapes is the 500 that the client gets."""
    traffic = Traffic()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    await through(fail, Instruments(traffic))
    assert traffic.requests == {("GET", "unmatched", 500): 1}


@pytest.mark.parametrize("method", ["BREW", "get", "", "PROPFIND", "x" * 1000])
def test_traffic_makes_no_series_of_a_method_that_a_client_made_up(method: str) -> None:
    """Whatever is sent as a method, only known methods have series of their own."""
    traffic = Traffic()
    traffic.answered(Trail(method=method, status=405))
    assert list(traffic.requests) == [("other", "unmatched", 405)]
    assert list(traffic.latencies) == [("other", "unmatched")]


@pytest.mark.parametrize(
    ("access", "told"),
    [
        (AccessLog.OFF, set[int]()),
        (AccessLog.ERRORS, {500, 502, 504, 599}),
        (AccessLog.ALL, {0, 200, 404, 500, 502, 503, 504, 599}),
    ],
)
def test_access_log_tells_the_requests_that_it_is_meant_to(
    access: AccessLog, told: set[int]
) -> None:
    """Errors are the server's own, but not what it turned away for lack of room."""
    statuses = (0, 200, 404, 500, 502, 503, 504, 599)
    assert {status for status in statuses if access.wants(status)} == told


def test_access_log_of_a_sample_tells_every_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of successes, refusals and lost clients, one in so many is logged, at random."""
    draws = iter(range(10_000))
    monkeypatch.setattr(instruments_module, "random", lambda: next(draws) % 4 / 4)
    world = FakeWorld()
    instruments = Instruments(access_log=AccessLog.ALL, access_sample_every=4)
    for status in (200, 404, 503, 0, 500, 504):
        for _ in range(8):
            instruments.log_request(world.log, Trail(status=status))
    told = Counter(event["status"] for event in world.events("http_request"))
    assert told == {200: 2, 404: 2, 503: 2, None: 2, 500: 8, 504: 8}


@pytest.mark.parametrize("access", [AccessLog.OFF, AccessLog.ERRORS])
def test_access_log_has_no_more_lines_for_a_sample(access: AccessLog) -> None:
    """Only what "all" adds is sampled: no line appears that the setting excludes."""
    world = FakeWorld()
    for status in (0, 200, 503):
        Instruments(access_log=access, access_sample_every=1).log_request(
            world.log, Trail(status=status)
        )
    Instruments(access_log=access, access_sample_every=1_000_000).log_request(
        world.log, Trail(status=500)
    )
    assert len(world.events("http_request")) == (access is AccessLog.ERRORS)


async def test_access_log_event_says_what_was_asked_and_what_came_of_it(
    autojump_clock: MockClock,
) -> None:
    """Path without query, route, status, milliseconds and address; a lost client has no status."""
    world = FakeWorld()
    instruments = Instruments(access_log=AccessLog.ALL)
    given = {"query_string": b"token=secret", "headers": [(b"x-request-id", b"one")]}
    await through(answering(200, route="/{x}", after_s=0.25), instruments, world.log, **given)
    with trio.move_on_after(1):
        await through(answering(200, after_s=5), instruments, world.log, client=None)
    told, lost = world.events("http_request")
    assert {**told} == {
        "event": "http_request",
        "log_level": "info",
        "request_id": "one",
        "method": "GET",
        "path": "/x",
        "route": "/{x}",
        "status": 200,
        "duration_ms": 250.0,
        "client": "192.0.2.7",
    }
    assert (lost["status"], lost["client"]) == (None, "")


class Bound(LogCapture):
    """Captures events as the program's logger would write them."""

    def __call__(self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> Any:
        """Capture an event with what it is bound to."""
        bind_handled(logger, method_name, event_dict)
        return super().__call__(logger, method_name, event_dict)


async def test_what_is_logged_meanwhile_is_bound_to_request_and_account(
    autojump_clock: MockClock,
) -> None:
    """Concurrent requests never mix, the account is bound once known, nothing stays after."""
    capture = Bound()
    log: Any = structlog.wrap_logger(
        None,
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        trail: Trail = scope["state"]["trail"]
        log.info("begun")
        await trio.sleep(1)

        async def learn_who_it_is() -> None:
            trail.account_id = f"account of {trail.request_id}"
            await trio.sleep(1)
            log.info("below", request_id="its own")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(learn_who_it_is)
        log.info("over")
        await answering(200)(scope, receive, send)

    async with trio.open_nursery() as nursery:
        for name in (b"one", b"two"):
            headers = [(b"x-request-id", name)]
            nursery.start_soon(
                lambda headers=headers: through(app, Instruments(), log, headers=headers)
            )
    log.info("after")
    begun, over = (
        [event for event in capture.entries if event["event"] == name] for name in ("begun", "over")
    )
    assert {event["request_id"] for event in begun} == {"one", "two"}
    assert all("account_id" not in event for event in begun)
    assert {(event["request_id"], event["account_id"]) for event in over} == {
        ("one", "account of one"),
        ("two", "account of two"),
    }
    assert [e["request_id"] for e in capture.entries if e["event"] == "below"] == ["its own"] * 2
    assert capture.entries[-1] == {"event": "after", "log_level": "info"}


def test_handling_ends_with_its_block() -> None:
    """Even if the block fails, and if one is inside another."""
    outer, inner = Trail("outer"), Trail("inner")
    with handling(outer):
        with suppress(ZeroDivisionError), handling(inner):
            assert bind_handled(None, "info", {}) == {"request_id": "inner"}
            raise ZeroDivisionError
        assert bind_handled(None, "info", {}) == {"request_id": "outer"}
    assert bind_handled(None, "info", {}) == {}


class Following:
    """Follows requests, and records what it learns of each at its end."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[tuple[bytes, bytes]], str, int]] = []

    @contextmanager
    def request(self, headers: Iterable[tuple[bytes, bytes]], trail: Trail) -> Generator[None]:
        """Record a request when it is over."""
        try:
            yield
        finally:
            self.seen.append((list(headers), trail.route, trail.status))


async def test_edge_lets_a_tracer_follow_each_request(autojump_clock: MockClock) -> None:
    """It gets the headers at the beginning; at the end the trail has route and status."""
    following = Following()
    headers = [(b"traceparent", b"00-1-1-01")]
    await through(answering(204), Instruments(tracer=following), headers=headers)
    with trio.move_on_after(1):
        await through(answering(200, after_s=5), Instruments(tracer=following))
    assert following.seen == [(headers, "/x", 204), ([], "/x", 0)]


async def test_server_counts_its_connections() -> None:
    """Open, accepted and refused connections match the actual ones."""
    async with serving(settings=settings_with(connections_max=1)) as server:
        traffic = server.traffic
        first = await server.connect()
        await first.send(get())
        assert (await first.read_response()).status == 200
        assert (traffic.connections_open, traffic.connections_accepted) == (1, 1)
        second = await server.connect()
        assert b" 503 " in await second.read_to_end()
        assert traffic.connections_refused == 1
    assert (traffic.connections_open, traffic.connections_accepted) == (0, 1)
