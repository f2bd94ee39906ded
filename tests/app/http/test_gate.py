"""Clients that ask too often, and a server with too much in flight, through both lanes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from actors.authx.messages import Authorize, Login
from actors.inventory.messages import GetInventory, PlaceOrder
from actors.ticker.messages import GetWorld
from app.http.addresses import Addresses
from app.http.errors import TooManyInHand, TooManyRequests, TooManyStreams
from app.http.exchange import Headers
from app.http.gate import Gate
from tests.app.http.harness import (
    ACCOUNT_ID,
    BEARER,
    SETTINGS,
    SILENT,
    FakeWorld,
    get,
    serving,
    settings_with,
)
from tests.app.http.rows import KEY
from tests.app.http.secure import encrypted
from tests.app.http.test_limits import slug

if TYPE_CHECKING:
    import httpx
    import trustme
    from trio.testing import MockClock

    from app.http.settings import HttpSettings
    from tests.app.http.harness import RawClient, RawResponse, Serving

PER_ACCOUNT = settings_with(requests_per_second_per_account=4, burst_per_account=2)
PER_ADDRESS = settings_with(requests_per_second_per_address=1, burst_per_address=2)
OWN = get("/v1/inventory", f"Authorization: {BEARER['Authorization']}")
FLOOD = 12
"""Many more than the bursts here, sent at once."""


async def flood(client: RawClient, request: bytes) -> list[RawResponse]:
    """Send a request again and again without waiting; return the answers."""
    await client.send(request * FLOOD)
    return [await client.read_response() for _ in range(FLOOD)]


async def until_admitted(server: Serving, method: str, path: str, **more: Any) -> httpx.Response:
    """Ask until the answer is anything but 429, which must come soon."""
    with trio.fail_after(5):
        while True:
            response = await server.client.request(method, path, headers={**BEARER, **KEY}, **more)
            if response.status_code != 429:
                return response
            await trio.sleep(0.05)


def check_refusals(answers: list[RawResponse]) -> int:
    """Check that some passed and others were told when to retry; return how many passed."""
    refused = [answer for answer in answers if answer.status != 200]
    assert 0 < len(refused) <= FLOOD - 2
    for answer in refused:
        assert (answer.status, slug(answer)) == (429, "too-many-requests")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers["x-request-id"]
    return FLOOD - len(refused)


@pytest.mark.usefixtures("lane")
async def test_flood_of_one_account_is_429_and_recovers() -> None:
    """Requests beyond an account's rate reach no actor; others, and later ones, are served."""
    async with serving(settings=PER_ACCOUNT) as server:
        client = await server.connect()
        answers = await flood(client, OWN)
        passed = check_refusals(answers)
        assert len(server.world.asked_for(GetInventory)) == passed
        assert (await server.client.get("/v1/world")).status_code == 200
        assert (await until_admitted(server, "GET", "/v1/inventory")).status_code == 200


@pytest.mark.usefixtures("lane")
async def test_refused_command_had_no_effect_and_its_key_is_still_good() -> None:
    """A command beyond the rate has no effect: the same key places it later."""
    async with serving(settings=PER_ACCOUNT) as server:
        client = await server.connect()
        check_refusals(await flood(client, OWN))
        before, status = 0, 0
        while status != 429:
            before = len(server.world.asked_for(PlaceOrder))
            response = await server.client.post(
                "/v1/inventory/orders", json={"asset": "x"}, headers={**BEARER, **KEY}
            )
            status = response.status_code
        assert len(server.world.asked_for(PlaceOrder)) == before
        placed = await until_admitted(server, "POST", "/v1/inventory/orders", json={"asset": "x"})
        assert placed.status_code == 201
        assert len(server.world.asked_for(PlaceOrder)) == before + 1


@pytest.mark.usefixtures("lane")
async def test_flood_from_one_address_is_429_and_recovers() -> None:
    """Requests beyond an address's rate reach no actor, not even to check their token."""
    async with serving(settings=PER_ADDRESS) as server:
        client = await server.connect()
        passed = check_refusals(await flood(client, get("/v1/world")))
        assert len(server.world.asked_for(GetWorld)) == passed
        assert not server.world.asked_for(Authorize)
        for path in ("/healthz", "/readyz", "/"):
            for _ in range(4):
                assert (await server.client.get(path)).status_code == 200
        assert (await until_admitted(server, "GET", "/v1/world")).status_code == 200
    exempt = replace(PER_ADDRESS, exempt_addresses=Addresses.parse("127.0.0.0/8"))
    async with serving(settings=exempt) as server:
        answers = await flood(await server.connect(), get("/v1/world"))
        assert {answer.status for answer in answers} == {200}


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/nowhere"), 404),
        (get("//healthz"), 404),
        (get("/v1/inventory/nowhere"), 404),
        (get("/v1/sessions/refresh"), 405),
        (get("/healthz").replace(b"GET", b"DELETE", 1), 405),
    ],
)
async def test_flood_for_what_is_not_there_is_429(request_bytes: bytes, status: int) -> None:
    """Probing for what may exist counts like asking for what does."""
    async with serving(settings=PER_ADDRESS) as server:
        answers = await flood(await server.connect(), request_bytes)
        refused = [answer for answer in answers if answer.status != status]
        assert 0 < len(refused) <= FLOOD - 2
        for answer in refused:
            assert (answer.status, slug(answer)) == (429, "too-many-requests")
        assert (await server.client.get("/v1/world")).status_code == 429
        assert (await server.client.get("/healthz")).status_code == 200


@pytest.mark.usefixtures("lane")
async def test_flood_of_what_is_no_http_is_429() -> None:
    """A malformed head counts like a request refused for its content."""
    async with serving(settings=PER_ADDRESS) as server:
        answers: list[RawResponse] = []
        for _ in range(FLOOD):
            client = await server.connect()
            await client.send(b"GET / HTTP/1.1\nHost: x\r\n\r\n")
            answers.append(await client.read_response())
            await client.aclose()
        refused = [answer for answer in answers if answer.status != 400]
        assert 0 < len(refused) <= FLOOD - 2
        for answer in refused:
            assert (answer.status, slug(answer)) == (429, "too-many-requests")
            assert answer.headers["connection"] == "close"
        assert (await server.client.get("/v1/world")).status_code == 429


@pytest.mark.usefixtures("lane")
async def test_flood_of_handshakes_is_refused_and_recovers(
    tls_settings: HttpSettings, authority: trustme.CA
) -> None:
    """With TLS a connection counts as a request: its handshake costs more than an answer."""
    limited = replace(PER_ADDRESS, tls=tls_settings.tls)
    async with serving(settings=limited) as server:
        assert 2 <= await shake_hands(server, authority) < FLOOD
        assert server.traffic.connections_refused > 0
        with trio.fail_after(5):
            while not await shake_hands(server, authority, times=1):  # noqa: ASYNC110 - until there is a request to spare
                await trio.sleep(0.05)
        assert not server.world.logged
    for free in ("exempt_addresses", "trusted_proxies"):
        settings = replace(limited, **{free: Addresses.parse("127.0.0.0/8")})
        async with serving(settings=settings) as server:
            assert await shake_hands(server, authority) == FLOOD


async def shake_hands(server: Serving, authority: trustme.CA, times: int = FLOOD) -> int:
    """Connect this many times; return how often the server shook hands."""
    shaken = 0
    for _ in range(times):
        client = await server.connect()
        with suppress(trio.BrokenResourceError):
            await encrypted(client.stream, authority)
            shaken += 1
        client.reset()
    return shaken


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("path", ["/v1/sessions", "/nowhere", "/healthz"])
async def test_flood_of_preflights_is_429(path: str) -> None:
    """A preflight is a request like any other, whatever it asks about."""
    settings = replace(PER_ADDRESS, cors_origins=frozenset({"*"}))
    async with serving(settings=settings) as server:
        client = await server.connect()
        asked = get(path, "Origin: https://a.example", "Access-Control-Request-Method: POST")
        await client.send(asked.replace(b"GET", b"OPTIONS", 1) * FLOOD)
        answers = [await client.read_response(b"OPTIONS") for _ in range(FLOOD)]
        refused = [answer for answer in answers if answer.status != 204]
        assert 0 < len(refused) <= FLOOD - 2
        for answer in refused:
            assert (answer.status, slug(answer)) == (429, "too-many-requests")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.usefixtures("lane")
async def test_address_is_refused_before_the_body() -> None:
    """A request beyond the rate is answered without waiting for its body."""
    async with serving(settings=PER_ADDRESS) as server:
        check_refusals(await flood(await server.connect(), get("/v1/world")))
        with trio.fail_after(2):
            while True:
                client = await server.connect()
                await client.send(
                    b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
                )
                with trio.move_on_after(0.1):
                    response = await client.read_response()
                    break
        assert slug(response) == "too-many-requests"
        assert response.headers["connection"] == "close"


@pytest.mark.usefixtures("lane")
async def test_requests_in_hand_have_a_limit() -> None:
    """Beyond it the answer is 503 at once, without the body; health is served, room comes back."""
    world = FakeWorld()
    world.answers[GetInventory] = SILENT
    settings = replace(SETTINGS, in_flight_max=1, reply_timeout_ms=300)
    async with serving(world, settings) as server:
        assert (await server.client.get("/healthz")).status_code == 200
        first = await server.connect()
        await first.send(OWN)
        await world.wait_held()
        second = await server.connect()
        await second.send(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        response = await second.read_response()
        assert (response.status, slug(response)) == (503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert (await server.client.get("/healthz")).status_code == 200
        assert (await first.read_response()).status == 504
        assert (await server.client.get("/v1/world")).status_code == 200


def test_gate_counts_what_is_in_hand() -> None:
    """A request that arrives without room is refused and does not count."""
    gate = Gate(settings_with(in_flight_max=2))
    gate.begin()
    gate.begin()
    for _ in range(3):
        with pytest.raises(TooManyInHand):
            gate.begin()
    with pytest.raises(TooManyInHand):
        gate.arrive("192.0.2.1")
    gate.end()
    gate.arrive("192.0.2.1")
    gate.begin()


async def test_gate_says_when_to_come_again(mock_clock: MockClock) -> None:
    """The wait is in whole seconds and sufficient; other accounts do not wait."""
    settings = settings_with(requests_per_second_per_account=1, burst_per_account=3)
    gate = Gate(settings)
    for _ in range(3):
        gate.authorized(ACCOUNT_ID)
    with pytest.raises(TooManyRequests) as refused:
        gate.authorized(ACCOUNT_ID)
    assert refused.value.retry_after_s == 1
    gate.authorized("another")
    mock_clock.jump(1)
    gate.authorized(ACCOUNT_ID)


def test_gate_counts_the_streams_of_one_address() -> None:
    """Each one that ends makes room for one; another address has room of its own."""
    gate = Gate(settings_with(connections_per_address_max=2))
    one, other = "192.0.2.1", "192.0.2.2"
    held = [gate.begin_stream(one) for _ in range(2)]
    for _ in range(3):
        with pytest.raises(TooManyStreams):
            gate.begin_stream(one)
        held.append(gate.begin_stream(other))
        gate.end_stream(held.pop())
        gate.end_stream(held.pop())
        held.append(gate.begin_stream(one))


def test_gate_remembers_a_bounded_number_of_addresses() -> None:
    """Many addresses do not each cost memory; they are limited all the same."""
    gate = Gate(PER_ADDRESS)
    for number in range(11_000):
        address = f"10.0.{number // 256}.{number % 256}"
        assert gate.limited_as(address) == address
    assert len(gate._known) <= 10_000
    assert gate.limited_as("2001:db8::1") == gate.limited_as("2001:db8::2")


async def test_addresses_of_one_ipv6_network_are_one(mock_clock: MockClock) -> None:
    """A whole IPv6 network shares one client's limit; an exempt address has none."""
    settings = settings_with(requests_per_second_per_address=1, burst_per_address=1)
    gate = Gate(replace(settings, exempt_addresses=Addresses.parse("127.0.0.0/8, ::1")))
    gate.arrive("2001:db8::1")
    with pytest.raises(TooManyRequests):
        gate.arrive("2001:db8::2")
    gate.arrive("2001:db8:0:1::1")
    gate.arrive("192.0.2.1")
    gate.arrive("::ffff:192.0.2.2")
    for exempt in ("127.0.0.1", "::1", "::ffff:127.0.0.1", ""):
        for _ in range(3):
            gate.arrive(exempt)
    mock_clock.jump(1)
    gate.arrive("2001:db8::2")


def test_addresses_of_ipv4_that_were_translated_are_told_apart() -> None:
    """On an IPv6-only server, IPv4 clients do not share one client's limit."""
    gate = Gate()
    assert gate.limited_as("64:ff9b::192.0.2.1") == "192.0.2.1"
    assert gate.limited_as("64:ff9b::c000:202") == "192.0.2.2"
    assert gate.limited_as("64:ff9b:0:0:1::192.0.2.1") == "64:ff9b::/64"


@pytest.mark.usefixtures("lane")
async def test_login_says_where_it_comes_from_unless_that_is_exempt() -> None:
    """Attempts count for the address that the limits apply to, never an exempt one."""
    for exempt, address in (("192.0.2.0/24", "127.0.0.1"), ("127.0.0.0/8", "")):
        settings = replace(SETTINGS, exempt_addresses=Addresses.parse(exempt))
        async with serving(settings=settings) as server:
            body = {"username": "ada", "password": "correct horse"}
            assert (await server.client.post("/v1/sessions", json=body)).status_code == 201
            (login,) = server.world.asked_for(Login)
            assert login == Login("ada", "correct horse", address, "127.0.0.1")


PROXIES = Addresses.parse("10.0.0.0/8, 127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("192.0.2.1", "10.0.0.2"), "192.0.2.1"),
        ("10.0.0.1", ("203.0.113.9, 192.0.2.1 ,10.0.0.2",), "192.0.2.1"),
        ("10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("192.0.2.1, unknown, 10.0.0.2",), "10.0.0.2"),
        ("10.0.0.1", ("203.0.113.9:5123",), "203.0.113.9"),
        ("10.0.0.1", ("192.0.2.1:80, 10.0.0.2:65535",), "192.0.2.1"),
        ("10.0.0.1", ("[2001:db8::1]:443",), "2001:db8::1"),
        ("10.0.0.1", ("[2001:DB8::1]",), "2001:db8::1"),
        ("10.0.0.1", ("2001:db8::1:443",), "2001:db8::1:443"),
        ("10.0.0.1", ("::ffff:192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("192.0.2.1, ::ffff:10.0.0.2",), "192.0.2.1"),
        ("10.0.0.1", ("[::ffff:c000:201]:443",), "192.0.2.1"),
        ("10.0.0.1", ("[2001:db8::1",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9:",), "10.0.0.1"),
        ("10.0.0.1", ("203.0.113.9:5123:1",), "10.0.0.1"),
        ("10.0.0.1", ("nonsense \xff",), "10.0.0.1"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("192.0.2.7", ("192.0.2.1",), "192.0.2.7"),
        ("", ("192.0.2.1",), ""),
    ],
)
def test_client_is_whom_the_last_trusted_proxy_passed_on(
    peer: str, forwarded: tuple[str, ...], client: str
) -> None:
    """What a client says of itself is never believed, nor what no trusted proxy has said."""
    headers = Headers([(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded])
    assert Gate(replace(SETTINGS, trusted_proxies=PROXIES)).client_of(peer, headers) == client
    assert Gate(SETTINGS).client_of(peer, headers) == peer


@pytest.mark.usefixtures("lane")
async def test_proxy_that_is_not_trusted_is_told_of_once() -> None:
    """An operator who has not named the proxy learns why all players share one limit."""
    async with serving() as server:
        assert (await server.client.get("/v1/world")).status_code == 200
        assert not server.world.logged
        for _ in range(3):
            await server.client.get("/v1/world", headers={"X-Forwarded-For": "192.0.2.1"})
        [told] = server.world.events("proxy_not_trusted")
        assert (told["log_level"], told["peer"]) == ("warning", "127.0.0.1")


@pytest.mark.usefixtures("lane")
async def test_forwarded_address_that_cannot_be_read_is_told_of_once() -> None:
    """An unreadable value from a trusted proxy is logged, shortened."""
    settings = replace(SETTINGS, trusted_proxies=PROXIES)
    async with serving(settings=settings) as server:
        for value in ("192.0.2.1", "192.0.2.1:80", "_hidden" + "x" * 100, "unknown"):
            await server.client.get("/v1/world", headers={"X-Forwarded-For": value})
        [told] = server.world.logged
        assert (told["event"], told["log_level"]) == ("forwarded_address_unreadable", "warning")
        assert (told["proxy"], told["value"]) == ("127.0.0.1", "_hidden" + "x" * 57)


@pytest.mark.usefixtures("lane")
async def test_players_behind_a_proxy_have_limits_of_their_own() -> None:
    """One that asks too often does not hold back the others, and attempts count for each."""
    settings = replace(PER_ADDRESS, trusted_proxies=PROXIES, connections_per_address_max=1)
    async with serving(settings=settings) as server:
        first, second = await server.connect(), await server.connect()
        check_refusals(await flood(first, get("/v1/world", "X-Forwarded-For: 192.0.2.1")))
        await second.send(get("/v1/world", "X-Forwarded-For: 192.0.2.2"))
        assert (await second.read_response()).status == 200
        body = {"username": "ada", "password": "correct horse"}
        headers = {"X-Forwarded-For": "192.0.2.1, 2001:db8::7"}
        await server.client.post("/v1/sessions", json=body, headers=headers)
        assert server.world.asked_for(Login)[-1].address == "2001:db8::/64"


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("last", [b"X-Forwarded-For: 192.0.2.1", b"X-Forw"])
async def test_head_that_ends_before_it_says_whose_it_is_counts_for_nobody(last: bytes) -> None:
    """Half an address may be another's, and the proxy's own stands for all of its players."""
    settings = replace(PER_ADDRESS, trusted_proxies=PROXIES)
    async with serving(settings=settings) as server:
        for _ in range(FLOOD):
            client = await server.connect()
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + last)
            await client.stream.send_eof()
            assert (await client.read_response()).status == 400
        for headers in ({"X-Forwarded-For": "192.0.2.1"}, {}):
            assert (await server.client.get("/v1/world", headers=headers)).status_code == 200


async def test_gate_of_no_limits_lets_everything_in() -> None:
    """A rate or a burst of 0 means unlimited."""
    for none in ({"requests_per_second_per_account": 0}, {"burst_per_account": 0}):
        gate = Gate(settings_with(**{"requests_per_second_per_account": 1, **none}))
        for _ in range(1_000):
            gate.authorized(ACCOUNT_ID)
