"""Requests for streams are limited, shared and logged like any others, through both lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
import trio
import trio.testing

from actors.authx.messages import Authorize
from actors.inventory.messages import GetEvents
from app.http.addresses import Addresses
from app.http.instruments import AccessLog, Instruments
from app.http.policy import ALWAYS
from app.http.streams import StreamSettings
from tests.app.http import harness
from tests.app.http.harness import SETTINGS, SILENT
from tests.app.http.streams.harness import AUTHORIZED, HANDSHAKE, SseClient, streaming

if TYPE_CHECKING:
    from app.http.settings import HttpSettings
    from tests.app.http.streams.harness import Streaming

SITE = "https://play.example.org"
BURST = 3


@pytest.fixture
def settings(lane: str) -> HttpSettings:
    """Return the settings of a lane."""
    return replace(SETTINGS, fast_lane=lane == harness.FAST)


async def test_stream_is_found_however_its_path_is_spelled(settings: HttpSettings) -> None:
    """An encoded letter is that letter; an encoded slash separates nothing."""
    async with streaming(settings=settings) as server:
        assert (await opened(server, "/v1/event%73", AUTHORIZED)).status == 200
        websocket = await opened(server, "/v1/%65vents/ws?after=0", *HANDSHAKE, AUTHORIZED)
        assert websocket.status == 101
        for path in ("/v1%2Fevents", "/v1/events%2fws"):
            refused = await opened(server, path, *HANDSHAKE, AUTHORIZED)
            assert (await refused.body())["type"] == "/problems/not-found"


async def opened(server: Streaming, path: str, *headers: str) -> SseClient:
    """Send a request; return the client after it has read the head of its answer."""
    client = SseClient(await server.connect())
    await client.open(path, *headers)
    return client


async def check_limited(server: Streaming, path: str, *headers: str) -> None:
    """Ask as often as is allowed, and once more."""
    for _ in range(BURST):
        assert (await opened(server, path, *headers)).status != 429
    asked = len(server.world.asked)
    refused = await opened(server, path, *headers)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    assert (await refused.body())["type"] == "/problems/too-many-requests"
    # An account's limit is checked once it is known whose request it is.
    assert not [each for each in server.world.asked[asked:] if not isinstance(each, Authorize)]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/events", (AUTHORIZED,)),
        ("/v1/events", ()),
        ("/v1/events/ws", (*HANDSHAKE, AUTHORIZED)),
        ("/v1/events/ws", HANDSHAKE),
        ("/v1/events/ws", ()),
    ],
)
async def test_streams_of_one_address_are_limited(
    settings: HttpSettings, path: str, headers: tuple[str, ...]
) -> None:
    """Each opening counts as a request of its address, whatever its outcome."""
    limited = replace(settings, requests_per_second_per_address=1, burst_per_address=BURST)
    async with streaming(settings=limited) as server:
        await check_limited(server, path, *headers)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/events", (AUTHORIZED,)), ("/v1/events/ws", (*HANDSHAKE, AUTHORIZED))],
)
async def test_streams_of_one_account_are_limited(
    settings: HttpSettings, path: str, headers: tuple[str, ...]
) -> None:
    """Each opening counts as a request of its account; events sent on a stream do not."""
    limited = replace(settings, requests_per_second_per_account=1, burst_per_account=BURST)
    async with streaming(settings=limited) as server:
        await check_limited(server, path, *headers)


async def test_requests_and_streams_share_one_limit(settings: HttpSettings) -> None:
    """An account that has used up its requests opens no stream."""
    limited = replace(settings, requests_per_second_per_account=1, burst_per_account=BURST)
    async with streaming(settings=limited) as server:
        for _ in range(BURST):
            assert (await opened(server, "/v1/inventory", AUTHORIZED)).status == 200
        assert (await opened(server, "/v1/events", AUTHORIZED)).status == 429


async def test_opening_counts_as_in_hand_until_it_is_answered(settings: HttpSettings) -> None:
    """While one waits for its first page others get 503; an open stream takes no room."""
    async with streaming(settings=replace(settings, in_flight_max=1)) as server:
        page, server.world.answers[GetEvents] = server.world.answers[GetEvents], SILENT
        async with trio.open_nursery() as nursery:
            waiting = SseClient(await server.connect())
            nursery.start_soon(waiting.open, "/v1/events", AUTHORIZED)
            await server.world.wait_held()
            for path in ("/v1/events", "/v1/inventory"):
                refused = await opened(server, path, AUTHORIZED)
                assert refused.status == 503
                assert refused.headers["retry-after"] == "1"
            server.world.answers[GetEvents] = page
            [held] = server.world.held
            assert held.reply is not None
            held.reply.send_nowait(server.ledger.page(cast("GetEvents", held.body)))
        assert waiting.status == 200
        for _ in range(3):
            assert (await opened(server, "/v1/events", AUTHORIZED)).status == 200
        assert (await opened(server, "/v1/inventory", AUTHORIZED)).status == 200


async def test_websocket_without_a_login_takes_no_room(settings: HttpSettings) -> None:
    """Clients that open a WebSocket and stay silent keep nobody out."""
    async with streaming(
        settings=replace(settings, in_flight_max=1), streams=StreamSettings(login_seconds=5)
    ) as server:
        for _ in range(3):
            assert (await opened(server, "/v1/events/ws", *HANDSHAKE)).status == 101
        assert (await opened(server, "/v1/events", AUTHORIZED)).status == 200


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/events", (AUTHORIZED,)),
        ("/v1/events/ws", (*HANDSHAKE, AUTHORIZED)),
        ("/v1/events/ws", HANDSHAKE),
    ],
)
async def test_one_player_behind_a_proxy_takes_no_more_than_an_address_may(
    settings: HttpSettings, path: str, headers: tuple[str, ...]
) -> None:
    """A client behind the proxy may hold as many streams as one that connects directly."""
    proxied = replace(
        settings, connections_per_address_max=2, trusted_proxies=Addresses.parse("127.0.0.1")
    )
    one, other = ("X-Forwarded-For: 2001:db8::1", "X-Forwarded-For: 2001:db8:0:1::1")
    async with streaming(settings=proxied) as server:
        held = [await opened(server, path, *headers, one) for _ in range(2)]
        assert [each.status for each in held] in ([200] * 2, [101] * 2)
        refused = await opened(server, path, *headers, one)
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        told = await refused.body()
        assert told["type"] == "/problems/too-many-streams"
        assert told["detail"] == "one address may have at most 2 event streams open"
        for _ in range(2):
            assert (await opened(server, path, *headers, other)).status == held[0].status
        # The proxy's own, which do not name a client, belong to many players.
        for _ in range(3):
            assert (await opened(server, path, *headers)).status == held[0].status
        assert (await opened(server, "/v1/inventory", AUTHORIZED, one)).status == 200
        await held.pop().stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await opened(server, path, *headers, one)).status == held[0].status


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/events", (AUTHORIZED,), 200),
        ("/v1/events", (), 401),
        ("/v1/events", (AUTHORIZED, "Content-Length: 5"), 400),
        ("/v1/events/ws", (*HANDSHAKE, AUTHORIZED), 101),
        ("/v1/events/ws", (), 426),
    ],
)
async def test_answers_of_streams_say_what_every_answer_says(
    settings: HttpSettings, path: str, headers: tuple[str, ...], status: int
) -> None:
    """The security headers, the request's id, and which sites may read it."""
    shared = replace(settings, cors_origins=frozenset({SITE}))
    async with streaming(settings=shared) as server:
        own = ("X-Request-Id: mine", f"Origin: {SITE}")
        client = await opened(server, path, *headers, *own)
        assert client.status == status
        assert client.headers["x-request-id"] == "mine"
        assert client.headers["access-control-allow-origin"] == SITE
        assert client.headers["vary"] == "origin"
        for name, value in ALWAYS:
            assert client.headers[name.decode()] == value.decode()
        other = await opened(server, path, *headers, "Origin: https://evil.example")
        assert "access-control-allow-origin" not in other.headers


async def preflight(server: Streaming, path: str, site: str, *headers: str) -> int:
    """Send the preflight of a browser for a stream; return the status of the answer."""
    client = SseClient(await server.connect())
    head = [f"OPTIONS {path} HTTP/1.1", "Host: x", f"Origin: {site}", *headers]
    asking = "Access-Control-Request-Method: GET\r\n\r\n"
    await client.stream.send_all(("\r\n".join(head) + "\r\n" + asking).encode())
    await client.read_head()
    return client.status


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/ws"])
async def test_browser_may_ask_first_where_there_is_room_for_no_more(
    settings: HttpSettings, path: str
) -> None:
    """A preflight is not a stream: the request after it shows what is wrong."""
    proxied = replace(
        settings,
        cors_origins=frozenset({SITE}),
        connections_per_address_max=1,
        trusted_proxies=Addresses.parse("127.0.0.1"),
    )
    player = "X-Forwarded-For: 192.0.2.1"
    async with streaming(settings=proxied) as server:
        assert (await opened(server, "/v1/events", AUTHORIZED, player)).status == 200
        assert (await opened(server, "/v1/events", AUTHORIZED, player)).status == 429
        assert await preflight(server, path, SITE, player) == 204


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/ws"])
async def test_browser_that_asks_first_is_told(settings: HttpSettings, path: str) -> None:
    """A preflight is answered for streams too, without asking an actor; not for every site."""
    shared = replace(settings, cors_origins=frozenset({SITE}))
    async with streaming(settings=shared) as server:
        for site, status in ((SITE, 204), ("https://evil.example", 405)):
            assert await preflight(server, path, site) == status
        assert server.world.asked == []


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/ws"])
async def test_preflights_for_streams_are_limited(settings: HttpSettings, path: str) -> None:
    """They count like the requests they precede."""
    limited = replace(
        settings,
        cors_origins=frozenset({SITE}),
        requests_per_second_per_address=1,
        burst_per_address=BURST,
    )
    async with streaming(settings=limited) as server:
        statuses = [await preflight(server, path, SITE) for _ in range(BURST + 1)]
        assert statuses == [204] * BURST + [429]


async def test_head_of_a_stream_is_refused_without_a_body(settings: HttpSettings) -> None:
    """An answer to HEAD is only a head."""
    async with streaming(settings=settings) as server:
        stream = await server.connect()
        await stream.send_all(b"HEAD /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while data := await stream.receive_some():
            answer += data
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert answer.endswith(b"\r\n\r\n")


async def test_streams_stand_in_the_access_log(settings: HttpSettings) -> None:
    """With its id and status, and nothing of its query."""
    instruments = Instruments(access_log=AccessLog.ALL)
    async with streaming(settings=settings, instruments=instruments) as server:
        await opened(server, "/v1/events?after=1", AUTHORIZED, "X-Request-Id: mine")
        [event] = server.world.events("http_request")
        assert (event["path"], event["status"], event["client"]) == ("/v1/events", 200, "127.0.0.1")
