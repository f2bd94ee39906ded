"""The server's own refusals: each carries its request's id, and the log has it under that id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from app.http.instruments import AccessLog, Instruments
from app.http.traffic import Traffic
from tests.app.http.harness import SETTINGS, FakeWorld, get, serving
from tests.app.http.support import post
from tests.app.http.test_limits import slug

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from app.http.settings import HttpSettings
    from tests.app.http.harness import RawResponse

pytestmark = pytest.mark.usefixtures("lane")

SITE = "https://play.example"
NAMED = ("X-Request-Id: find-me", f"Origin: {SITE}")
SHARING = replace(SETTINGS, cors_origins=frozenset({SITE}), body_timeout_ms=150)


@dataclass
class Watched:
    """A server whose requests are all logged."""

    world: FakeWorld = field(default_factory=FakeWorld)
    traffic: Traffic = field(default_factory=Traffic)

    def serving(self, settings: HttpSettings = SHARING) -> Any:
        """Serve; see `serving`."""
        instruments = Instruments(self.traffic, AccessLog.ALL)
        return serving(self.world, settings, instruments=instruments)

    async def told(self) -> MutableMapping[str, Any]:
        """Return the one line of the access log, once it is there."""
        while not self.world.events("http_request"):  # noqa: ASYNC110 - as for the server's sleeps
            await trio.sleep(0.005)
        (line,) = self.world.events("http_request")
        return line


async def check(
    watched: Watched, response: RawResponse, status: int, path: str = "/v1/accounts"
) -> None:
    """Check that a refusal has its id, may be read by the site, and is counted and logged."""
    assert response.status == status
    assert response.headers["x-request-id"] == "find-me"
    assert response.headers["access-control-allow-origin"] == SITE
    assert response.headers["connection"] == "close"
    line = await watched.told()
    assert (line["request_id"], line["status"]) == ("find-me", status)
    assert (line["method"], line["path"], line["client"]) == ("POST", path, "127.0.0.1")
    assert sum(watched.traffic.requests.values()) == 1
    assert watched.traffic.abandonments == 0


async def test_body_that_does_not_come_is_refused_as_any_other_request() -> None:
    """A 408 has its request's id and the headers for its site, and is counted and logged."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(post("Content-Length: 100", *NAMED, body=b"{"))
        response = await client.read_response()
        assert slug(response) == "request-timeout"
        await check(watched, response, 408)
        assert (await watched.told())["route"] == "/v1/accounts"
        assert await client.read_to_end() == b""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"zz\r\n", 400),
        (b"1\r\nab", 400),
        (b"1\r\na\n", 400),
        (b"fffff\r\n", 413),
        (b"0\r\nHost: y\r\n\r\n", 400),
        (b"0\r\n" + b"A: b\r\n" * 5_000, 431),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.parametrize("apart", [False, True])
async def test_body_that_cannot_be_read_is_refused_as_any_other_request(
    body: bytes, status: int, apart: bool
) -> None:
    """Whatever is wrong with its framing, and whether or not it comes with the head."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(post("Transfer-Encoding: chunked", *NAMED, body=b"" if apart else body))
        if apart:
            await trio.sleep(0.02)
            await client.send(body)
        await check(watched, await client.read_response(), status)
        assert (await watched.told())["route"] == "/v1/accounts"
        assert await client.read_to_end() == b""
        assert watched.world.asked == []


@pytest.mark.parametrize("framing", ["Content-Length: 9", "Transfer-Encoding: chunked"])
async def test_body_that_ends_too_soon_is_refused_as_any_other_request(framing: str) -> None:
    """A client that sends no more may still read why it was refused."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(post(framing, *NAMED, body=b"8\r\n{"))
        await client.stream.send_eof()
        response = await client.read_response()
        assert b"ended before it was complete" in response.body
        await check(watched, response, 400)


async def test_body_is_not_looked_at_where_nobody_asks_for_it() -> None:
    """A path that does not exist is not found, whatever comes after its head."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(get("/nope", "Transfer-Encoding: chunked") + b"zz\r\n")
        assert (await client.read_response()).status == 404
        assert await client.read_to_end() == b""
        assert (await watched.told())["status"] == 404


UNSERVED = [
    (("Host: y",), 400),
    (("Content-Length: 1", "Content-Length: 2"), 400),
    (("Transfer-Encoding: gzip",), 501),
    (tuple(f"A{number}: b" for number in range(110)), 431),
    (("A: " + "b" * 20_000,), 431),
]


@pytest.mark.parametrize(("headers", "status"), UNSERVED, ids=lambda value: repr(value)[:30])
async def test_head_that_is_refused_says_whose_it_was(
    headers: tuple[str, ...], status: int
) -> None:
    """Whatever can be read of it is in the answer and in the log."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(post(*NAMED, *headers))
        await check(watched, await client.read_response(), status)
        assert (await watched.told())["route"] == "unmatched"
        assert await client.read_to_end() == b""


@pytest.mark.parametrize(
    ("request_bytes", "method", "path"),
    [
        (b"\x16\x03\x01", "", ""),
        (b"hello\r\n\r\n", "", ""),
        (get("http://ada:secret@x/"), "GET", ""),
        (get("/secr%65t?secret=1", "Host: y"), "GET", "/secret"),
        (get("/" + "a" * 9_000), "GET", "/" + "a" * (SETTINGS.max_target_bytes - 1)),
        (b"GET /x HTTP/3.0\r\n\r\n", "GET", "/x"),
        (get()[:-9], "GET", "/healthz"),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_refused_head_is_found_in_the_log(
    request_bytes: bytes, method: str, path: str
) -> None:
    """Under the id in its answer, with what is known of it and nothing secret."""
    watched = Watched()
    async with watched.serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        await client.stream.send_eof()
        response = await client.read_response()
        line = await watched.told()
        assert line["request_id"] == response.headers["x-request-id"]
        assert (line["status"], line["method"], line["path"]) == (response.status, method, path)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/healthz", "Host: y"),
        get("/healthz", "Transfer-Encoding: gzip"),
        get("/healthz", *(f"A{number}: b" for number in range(110))),
        get("/" + "a" * 9_000),
        get("/healthz", "A: " + "b" * 20_000)[:-4],
        get()[:-9],
    ],
    ids=lambda value: repr(value)[-30:],
)
async def test_refused_head_of_head_is_answered_without_a_body(request_bytes: bytes) -> None:
    """HEAD is answered with headers only, whatever is wrong with it (RFC 9110, 9.3.2)."""
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes.replace(b"GET", b"HEAD", 1))
        await client.stream.send_eof()
        head, end, body = (await client.read_to_end()).partition(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 "))
        assert b"content-length: " in head
        assert (end, body) == (b"\r\n\r\n", b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/nope", "Expect: 100-continue", "Content-Length: 5"), 404),
        (get("/v1/accounts", "Expect: 100-continue", "Content-Length: 5"), 405),
        (post("Expect: 100-continue", "Content-Length: 90000"), 413),
        (get("/healthz", "Expect: 100-continue"), 200),
        (post("Expect: 100-continue", "Content-Length: 2", body=b"{}"), 422),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_nobody_is_told_to_send_what_is_not_read(request_bytes: bytes, status: int) -> None:
    """Whether the body is refused by the head, absent, or already here (RFC 9110, 10.1.1)."""
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        assert (await client.stream.receive_some()).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("framing", ["Content-Length: 45", "Transfer-Encoding: chunked"])
async def test_client_that_asks_is_told_to_go_on(framing: str) -> None:
    """It is told once, then answered."""
    body = b'{"username":"ada","password":"correct horse"}'
    async with serving() as server:
        client = await server.connect()
        await client.send(post("Expect: 100-continue", framing))
        assert await client.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        chunked = b"2d\r\n%s\r\n0\r\n\r\n" % body
        await client.send(chunked if "chunked" in framing else body)
        assert (await client.read_response()).status == 201


@pytest.mark.parametrize(
    ("request_bytes", "first"),
    [
        (get(), b"200 OK"),
        (get("/nope"), b"404 Not Found"),
        (post("Content-Length: 2", body=b"{}"), b"422 Unprocessable Content"),
        (post("Content-Length: 90000"), b"413 Content Too Large"),
        (get("/" + "a" * 9_000), b"414 URI Too Long"),
        (get("/healthz", "Host: y"), b"400 Bad Request"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_answer_begins_with_the_words_of_the_standard(
    request_bytes: bytes, first: bytes
) -> None:
    """Each status has its reason phrase (RFC 9110, 15), whatever Python calls it."""
    async with serving() as server:
        client = await server.connect()
        await client.send(request_bytes)
        answer = await client.stream.receive_some()
        assert answer.partition(b"\r\n")[0] == b"HTTP/1.1 " + first


async def test_connection_too_many_stands_in_the_access_log() -> None:
    """Under the id sent to its client; nothing is known of its request."""
    watched = Watched()
    async with watched.serving(replace(SETTINGS, connections_max=1)) as server:
        await server.connect()
        await server.wait_connection_open()
        response = await (await server.connect()).read_response()
        line = await watched.told()
        assert (line["request_id"], line["status"]) == (response.headers["x-request-id"], 503)
        assert (line["method"], line["path"], line["client"]) == ("", "", "127.0.0.1")
