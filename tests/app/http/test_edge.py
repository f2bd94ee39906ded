"""The outermost application, driven without a socket: ids, odd targets, and escaped errors."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from app.http.asgi.edge import AsgiApp, AsgiEdge, Event, Receive, Scope, Send
from app.http.edge import Edge, request_id_of
from app.http.exchange import Headers, HttpRequest, HttpResponse
from app.http.routes import Route, Router
from app.http.trail import Trail
from tests.app.http import harness
from tests.app.http.harness import FakeWorld

if TYPE_CHECKING:
    from collections.abc import Mapping


async def run(app: AsgiApp, world: FakeWorld, **scope: Any) -> list[Event]:
    """Drive the edge around ``app`` through one request; return what it sent."""
    sent: list[Event] = []

    async def receive() -> Event:
        await trio.sleep_forever()
        raise AssertionError

    async def send(event: Event) -> None:
        await trio.lowlevel.checkpoint()
        sent.append(event)

    whole: dict[str, Any] = {"type": "http", "path": "/", "headers": [], **scope}
    await AsgiEdge(app, Edge(Router(()), log=world.log))(whole, receive, send)
    return sent


async def answer_ok(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": scope["state"]["request_id"].encode()})


def headers(sent: list[Event]) -> dict[bytes, bytes]:
    """Return the headers of the answer that was sent."""
    return dict(sent[0]["headers"])


@pytest.mark.parametrize("given", [b"abc.DEF-1_2", b"x", b"a" * 64])
async def test_edge_keeps_the_clients_request_id(given: bytes) -> None:
    """A usable X-Request-Id reaches the application and comes back."""
    sent = await run(answer_ok, FakeWorld(), headers=[(b"x-request-id", given)])
    assert headers(sent) == {b"a": b"b", b"x-request-id": given}
    assert sent[1]["body"] == given


@pytest.mark.parametrize("given", [b"", b"a b", b"a" * 65, b"\xff", b"a\nb", b"<script>"])
async def test_edge_replaces_an_unfit_request_id(given: bytes) -> None:
    """An X-Request-Id that could spoil a log is replaced by a new one."""
    sent = await run(answer_ok, FakeWorld(), headers=[(b"x-request-id", given)])
    assert headers(sent)[b"x-request-id"] != given
    assert request_id_of(Headers([(b"x-request-id", headers(sent)[b"x-request-id"])]))


def test_edge_draws_request_ids_from_nothing_that_others_can_set() -> None:
    """Seeding Python's own generator does not repeat ids already issued."""
    ids: set[str] = set()
    for _ in range(2):
        random.seed(1)
        ids.add(request_id_of(Headers([])))
    assert len(ids) == 2


def test_edge_makes_a_new_request_id_each_time() -> None:
    """Two requests without an id get two ids."""
    assert request_id_of(Headers([])) != request_id_of(Headers([]))


@pytest.mark.parametrize("path", ["", "*", "example.com:80", "http://x/healthz"])
async def test_edge_refuses_a_target_that_is_no_path(path: str) -> None:
    """A target that is not a path never reaches the router, which would fail on it."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    sent = await run(fail, FakeWorld(), path=path)
    assert sent[0]["status"] == 400
    assert msgspec.json.decode(sent[1]["body"])["type"] == "/problems/malformed-request"


async def test_edge_logs_an_escaped_error_and_answers_500() -> None:
    """An error that escapes the application is logged by request id; no client sees it."""
    world = FakeWorld()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("secret")

    sent = await run(fail, world)
    assert sent[0]["status"] == 500
    assert b"secret" not in sent[1]["body"]
    (event,) = world.events("request_failed")
    assert event["request_id"].encode() == headers(sent)[b"x-request-id"]
    assert isinstance(event["exc_info"], ZeroDivisionError)


async def test_edge_sends_nothing_after_an_answer_has_begun() -> None:
    """An error in the middle of an answer is logged, and no second answer is mixed in."""
    world = FakeWorld()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_ok(scope, receive, send)
        raise ZeroDivisionError

    sent = await run(fail, world)
    assert [event["type"] for event in sent] == ["http.response.start", "http.response.body"]
    assert len(world.events("request_failed")) == 1


async def fail_in_two_ways() -> None:
    """Fail when cancelled, beside a task that is only cancelled."""

    async def fail_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_when_cancelled)
        nursery.start_soon(trio.sleep_forever)


async def test_edge_logs_an_error_that_comes_with_a_cancellation() -> None:
    """An exception grouped with Cancelled is logged, and only the cancellation propagates."""
    world = FakeWorld()

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        await fail_in_two_ways()

    with trio.move_on_after(0.01) as scope:
        await run(fail, world)
    assert scope.cancelled_caught
    (event,) = world.events("request_failed")
    assert [type(error) for error in event["exc_info"].exceptions] == [ZeroDivisionError]


async def test_edge_logs_what_a_route_fails_with_while_it_is_cancelled() -> None:
    """The fast lane does the same, under the request's id."""
    world = FakeWorld()
    edge = Edge(Router(()), log=world.log)
    trail = Trail("mine", "GET", "/x", "192.0.2.1")
    request = HttpRequest("GET", "/x", b"", Headers([]), b"", trail.request_id, trail)

    async def respond(_request: HttpRequest, _path: Mapping[str, str]) -> HttpResponse:
        await fail_in_two_ways()
        raise AssertionError

    with trio.move_on_after(0.01) as scope:
        await edge.answer(Route("GET", "/x", "/x", respond), request, {}, trio.current_time())
    assert scope.cancelled_caught
    (event,) = world.events("request_failed")
    assert event["request_id"] == "mine"
    assert [type(error) for error in event["exc_info"].exceptions] == [ZeroDivisionError]


async def test_edge_lets_a_cancellation_pass_in_silence() -> None:
    """A group of nothing but cancellations is not a failure."""
    world = FakeWorld()

    async def wait(scope: Scope, receive: Receive, send: Send) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    with trio.move_on_after(0.01) as scope:
        await run(wait, world)
    assert scope.cancelled_caught
    assert not world.logged


async def test_edge_passes_other_scopes_through() -> None:
    """A scope that is not an HTTP request is left to the application."""
    seen: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(scope["type"])

    await run(note, FakeWorld(), type="lifespan")
    assert seen == ["lifespan"]


async def test_failure_of_the_edge_itself_is_answered_with_500(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error raised beneath every handler still gets its client an answer (Hypercorn lane)."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(harness, "LANE", harness.HYPERCORN)
    monkeypatch.setattr(AsgiEdge, "__call__", broken)
    async with harness.serving() as server:
        client = await server.connect()
        await client.send(harness.get())
        answer = await client.read_to_end()
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert len(server.world.events("asgi_failed")) == 1
