"""Refusals of the server itself: each has its request's id, and is found under it in the log."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from app.http.instruments import AccessLog, Instruments
from app.http.traffic import Traffic
from tests.app.http.harness import SETTINGS, FakeWorld, get, serving
from tests.app.http.test_connection import post
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
        """Give the one line of the access log, once it is there."""
        while not self.world.events("http_request"):  # noqa: ASYNC110 - as for the server's sleeps
            await trio.sleep(0.005)
        (line,) = self.world.events("http_request")
        return line


async def check(watched: Watched, response: RawResponse, status: int) -> None:
    """Check that a refusal says whose it is, may be read by the site, and is counted and told."""
    assert response.status == status
    assert response.headers["x-request-id"] == "find-me"
    assert response.headers["access-control-allow-origin"] == SITE
    assert response.headers["connection"] == "close"
    line = await watched.told()
    assert (line["request_id"], line["status"]) == ("find-me", status)
    assert (line["method"], line["path"]) == ("POST", "/v1/accounts")
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
