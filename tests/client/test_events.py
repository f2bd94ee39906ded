"""What an event stream promises: every event once, in order, over any number of connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import httpx
import msgspec
import pytest

from holdfast_client import DeadlineExceeded, NoAnswer, Refused, Session, UnexpectedAnswer
from tests.client.backends import on_both_backends
from tests.client.servers import (
    ORDER,
    STOCK,
    TIME,
    Script,
    client,
    problem,
    silence,
    stream,
    tokens,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Json = dict[str, Any]

LOGIN = httpx.Response(201, json=tokens(1))
BEAT = b": beat\n\n"
TYPE = {"Content-Type": "text/event-stream"}


def event(number: int, name: str = "order-completed", **more: object) -> bytes:
    """Make an event in wire format."""
    entry: Json = {"seq": number, "at": TIME, "cause": name, "changes": {}}
    data: Json = {"at": TIME, "tick": number, "rates": {"wood": STOCK}, "entry": entry, **more}
    told = msgspec.json.encode(data).decode()
    return f"id: {number}\nevent: {name}\ndata: {told}\n\n".encode()


def end(reason: str) -> bytes:
    """Make the event that ends a stream, in wire format."""
    told = msgspec.json.encode({"reason": reason, "detail": ""}).decode()
    return f"event: {reason}\ndata: {told}\n\n".encode()


async def read(session: Session, count: int, **options: Any) -> list[int]:
    """Read a number of events; return their sequence numbers."""
    async with session.events(**options) as events:
        return [(await anext(events)).id for _ in range(count)]


@on_both_backends()
async def test_events_are_typed() -> None:
    """An event carries its kind, the rates, and its subject."""
    script = Script(LOGIN, stream(BEAT, event(7, order=ORDER, full=["wood"]), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        async with session.events(after=6) as events:
            told = await anext(events)
            assert events.last_id == 7
    assert (told.id, told.name, told.full) == (7, "order-completed", ["wood"])
    assert told.rates["wood"].per_hour == 60
    assert told.entry is not None
    assert told.entry.seq == 7
    assert told.order is not None
    assert told.order.asset == "hut"
    assert (told.transfer, told.inventory) == (None, None)
    assert script.requests[1].headers["Accept"] == "text/event-stream"
    assert script.headers("Last-Event-ID") == [None, "6"]


@on_both_backends()
async def test_events_resume_after_the_last_that_came() -> None:
    """Cut off, ended, told goodbye or refused: the stream resumes where it stopped."""
    script = Script(
        LOGIN,
        stream(event(1, "snapshot"), event(2), httpx.ReadError("reset")),
        stream(event(3) + event(4)[:20]),
        problem(503, "overloaded", retry_after="2"),
        httpx.ConnectError("refused"),
        stream(event(4), end("bye")),
        stream(event(5), None),
    )
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 5) == [1, 2, 3, 4, 5]
    assert script.headers("Last-Event-ID") == [None, None, "2", "3", "3", "3", "4"]


@on_both_backends()
async def test_events_survive_silence() -> None:
    """A silent connection counts as dead; one with heartbeats does not."""

    async def beating(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=TYPE, stream=Beats(6))

    script = Script(LOGIN, beating, stream(event(1), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        began = anyio.current_time()
        assert await read(session, 1) == [1]
        # Six heartbeats 15 s apart, then 45 s of silence.
        assert 135 <= anyio.current_time() - began <= 136


class Beats(httpx.AsyncByteStream):
    """A stream of a few heartbeats."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Beat every 15 s, then fall silent."""
        for _ in range(self.count):
            await anyio.sleep(15)
            yield BEAT
        await anyio.sleep_forever()


@on_both_backends()
async def test_events_renew_a_token_that_expires() -> None:
    """When the server ends a stream because its token expired, it resumes with a new one."""
    script = Script(
        LOGIN,
        stream(event(1), end("token-expired")),
        httpx.Response(200, json=tokens(2)),
        stream(event(2), None),
    )
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 2) == [1, 2]
    assert script.paths()[1:] == ["GET /v1/events", "POST /v1/sessions/refresh", "GET /v1/events"]
    assert script.headers("Authorization")[3] == "Bearer access-2"


@on_both_backends()
async def test_events_renew_a_token_that_is_refused() -> None:
    """A token that expired while the stream was down is renewed before the next attempt."""
    script = Script(
        LOGIN,
        problem(401, "invalid-token"),
        httpx.Response(200, json=tokens(2)),
        stream(event(1), None),
    )
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 1) == [1]


@on_both_backends()
async def test_events_end_with_the_session() -> None:
    """When the session ends, on the stream or while it is down, so does the iteration."""
    refused = problem(401, "invalid-token")
    for last in ((stream(event(2), end("session-ended")),), (stream(event(2)), refused, refused)):
        script = Script(LOGIN, stream(event(1)), *last)
        async with client(script) as opened:
            session = await opened.log_in("ann", "password")
            async with session.events() as events:
                assert [each.id async for each in events] == [1, 2]
                assert [each.id async for each in events] == []


@on_both_backends()
async def test_events_of_an_ended_session_cannot_be_had() -> None:
    """A stream that cannot start raises where it is opened."""
    script = Script(LOGIN, problem(401, "invalid-token"))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        session._credentials.close()
        with pytest.raises(Exception, match="invalid-token"):
            await read(session, 1)


@on_both_backends()
async def test_events_give_up_after_a_while() -> None:
    """An absent server is waited for only as long as the client's patience lasts."""
    script = Script(LOGIN, stream(event(1)), httpx.ConnectError("refused"))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        began = anyio.current_time()
        with pytest.raises(NoAnswer, match="no server answers"):
            await read(session, 2)
        assert 295 <= anyio.current_time() - began <= 300
    assert len(script.requests) > 100


@on_both_backends()
async def test_events_that_are_cut_off_at_once_are_not_asked_for_without_end() -> None:
    """If every stream is cut off as it begins, the client backs off and then gives up."""

    async def cut_off(_: httpx.Request) -> httpx.Response:
        return stream(b"retry: 1000\n\n")

    script = Script(LOGIN, stream(event(1), None), cut_off)
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        async with session.events() as events:
            assert (await anext(events)).id == 1
            began = anyio.current_time()
            with anyio.fail_after(600), pytest.raises(NoAnswer, match="cut off"):
                await anext(events)
        assert 295 + 45 <= anyio.current_time() - began <= 300 + 45
    assert len(script.requests) < 1_000


@pytest.mark.parametrize("poll_s", [0.3, 0.9, 2.0])
@on_both_backends()
async def test_events_may_be_looked_for_now_and_then(poll_s: float) -> None:
    """A cancelled read, however often, counts as no failure of the server and loses nothing."""

    async def quiet(_: httpx.Request) -> httpx.Response:
        return stream(BEAT, None)

    looks = round(400 / poll_s)  # longer than its patience, shorter than a token's life
    script = Script(LOGIN, stream(event(1), None), *[quiet] * looks, stream(event(2), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        async with session.events() as events:
            told: list[int] = []
            for _ in range(looks + 3):
                with anyio.move_on_after(poll_s):
                    told.append((await anext(events)).id)
    assert told == [1, 2]


class _Beating(httpx.AsyncByteStream):
    """Ten minutes of heartbeats, then the token expires."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(40):
            await anyio.sleep(15)
            yield BEAT
        yield end("token-expired")


@on_both_backends()
async def test_events_have_all_their_patience_after_a_connection_that_lasted() -> None:
    """An old failure does not count, even if only its token's expiry ended the stream since."""

    async def quiet(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=TYPE, stream=_Beating())

    script = Script(
        LOGIN,
        stream(event(1)),
        quiet,
        httpx.Response(200, json=tokens(2)),
        problem(503, "unavailable"),
        stream(event(2), None),
    )
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 2) == [1, 2]


@on_both_backends()
async def test_events_that_are_cut_off_again_and_again_go_on_for_ever() -> None:
    """A proxy that cuts off silent streams does not count as an absent server."""

    async def idle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=TYPE, stream=Idle())

    script = Script(LOGIN, stream(event(1)), *[idle] * 60, stream(event(2), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        began = anyio.current_time()
        assert await read(session, 2) == [1, 2]
        assert anyio.current_time() - began >= 600


class Idle(httpx.AsyncByteStream):
    """A stream that begins and is cut off after 10 s of silence."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Begin."""
        yield b"retry: 1000\n\n"
        await anyio.sleep(10)


@on_both_backends()
async def test_page_in_place_of_events_is_told_of() -> None:
    """A proxy's page for its users, with status 200, does not count as a stream that ended."""
    page = httpx.Response(200, html="<h1>We are back soon</h1>")
    for steps in ((page,), (stream(event(1)), page)):
        script = Script(LOGIN, *steps)
        async with client(script) as opened:
            session = await opened.log_in("ann", "password")
            with anyio.fail_after(60), pytest.raises(UnexpectedAnswer, match="text/html"):
                await read(session, 2)
        assert len(script.requests) == 1 + len(steps)


@on_both_backends()
async def test_events_do_not_insist_where_they_are_refused() -> None:
    """A permanent refusal is raised at once."""
    script = Script(LOGIN, stream(event(1)), problem(409, "something-final"))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        with pytest.raises(Refused, match="something-final"):
            await read(session, 2)
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    "nonsense",
    [
        b"id: 1\nevent: x\ndata: {}\n\n",
        b"id: 1\nevent: x\ndata: no JSON\n\n",
        event(1).replace(b"id: 1", b"id: one"),
        b"data: " + b"x" * 2_000_000,
        b'id: 1\nevent: x\ndata: {"new": ' + b"[" * 5000 + b"]" * 5000 + b"}\n\n",
    ],
)
@on_both_backends()
async def test_events_refuse_another_shape(nonsense: bytes) -> None:
    """A malformed event is reported, not skipped."""
    script = Script(LOGIN, stream(nonsense, None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        with pytest.raises(
            UnexpectedAnswer, match="GET /v1/events was answered in an unexpected shape"
        ):
            await read(session, 1)


@on_both_backends()
async def test_events_of_a_server_that_does_not_answer_are_not_waited_for() -> None:
    """Opening a stream has a deadline, whether nothing comes or an endless refusal."""
    for step in (silence, httpx.Response(503, stream=Beats(100))):
        script = Script(LOGIN, step)
        async with client(script) as opened:
            session = await opened.log_in("ann", "password")
            began = anyio.current_time()
            with pytest.raises(DeadlineExceeded):
                await read(session, 1)
            assert anyio.current_time() - began <= 5.001


@on_both_backends()
async def test_events_of_a_connection_that_breaks_at_once_are_not_had() -> None:
    """A truncated refusal counts as no answer."""
    script = Script(LOGIN, httpx.Response(503, stream=stream(httpx.ReadError("reset")).stream))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        with pytest.raises(NoAnswer, match="GET /v1/events: reset"):
            await read(session, 1)


@on_both_backends()
async def test_events_can_be_read_on_after_a_cancellation() -> None:
    """A reader that stops waiting for an event misses none."""
    script = Script(LOGIN, stream(event(1), None), stream(event(2), event(3), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        async with session.events() as events:
            assert (await anext(events)).id == 1
            with anyio.move_on_after(3) as scope:
                await anext(events)
            assert scope.cancelled_caught
            assert [(await anext(events)).id for _ in range(2)] == [2, 3]
    assert script.headers("Last-Event-ID")[-1] == "1"


@on_both_backends()
async def test_events_can_be_left_while_more_are_coming() -> None:
    """A reader that leaves early closes the connection, whatever is still in flight."""
    script = Script(LOGIN, stream(event(1), event(2), event(3), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 1) == [1]


@on_both_backends()
async def test_events_of_later_servers_are_passed_over() -> None:
    """An unknown event that is not a ledger entry does not stop the stream."""
    unknown = b"event: weather\ndata: sunny\n\n"
    script = Script(LOGIN, stream(unknown, event(1), unknown, event(2), None))
    async with client(script) as opened:
        session = await opened.log_in("ann", "password")
        assert await read(session, 2) == [1, 2]
