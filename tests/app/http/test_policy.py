"""What browsers are told, in every answer and about other sites; through both lanes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.http.policy import ALWAYS, TRANSPORT_SECURITY, Policy
from tests.app.http.harness import SETTINGS, get, serving

if TYPE_CHECKING:
    import httpx

pytestmark = pytest.mark.usefixtures("lane")

SITE = "https://play.example.org"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


def shared(response: httpx.Response) -> str | None:
    """Return the site with which an answer is shared."""
    value: str | None = response.headers.get("access-control-allow-origin")
    return value


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/inventory"])
async def test_every_answer_has_the_security_headers(path: str) -> None:
    """Whatever its status; unless they are switched off."""
    async with serving() as server:
        response = await server.client.get(path)
        for name, value in ALWAYS:
            assert response.headers[name.decode()] == value.decode()
        assert "strict-transport-security" not in response.headers
        assert shared(response) is None
    async with serving(settings=replace(SETTINGS, security_headers=False)) as server:
        response = await server.client.get(path)
        assert not {name.decode() for name, _ in ALWAYS} & set(response.headers)


async def test_a_refusal_of_what_cannot_be_parsed_has_the_security_headers() -> None:
    """So does the refusal of a connection beyond the limit, of which nothing was parsed."""
    async with serving(settings=replace(SETTINGS, connections_max=1)) as server:
        first = await server.connect()
        await server.wait_connection_open()
        second = await server.connect()
        await first.send(b"no HTTP at all\r\n\r\n")
        for client, status in ((first, 400), (second, 503)):
            response = await client.read_response()
            assert response.status == status
            for name, value in ALWAYS:
                assert response.headers[name.decode()] == value.decode()
            await client.aclose()


async def test_no_site_may_read_unless_told() -> None:
    """Without CORS in the configuration no answer mentions it, and OPTIONS is not allowed."""
    async with serving() as server:
        response = await server.client.get("/healthz", headers={"Origin": SITE})
        assert shared(response) is None
        headers = {"Origin": SITE, **PREFLIGHT}
        assert (await server.client.options("/v1/sessions", headers=headers)).status_code == 405


async def test_answers_are_shared_with_the_sites_that_are_named() -> None:
    """Refusals too; other sites get the same answer without permission to read it."""
    settings = replace(SETTINGS, cors_origins=frozenset({SITE}))
    async with serving(settings=settings) as server:
        for path, status in (("/healthz", 200), ("/nowhere", 404)):
            response = await server.client.get(path, headers={"Origin": SITE})
            assert (response.status_code, shared(response)) == (status, SITE)
            assert response.headers["vary"] == "origin"
            other = await server.client.get(path, headers={"Origin": "https://evil.example"})
            assert (other.status_code, shared(other)) == (status, None)
            assert other.headers["vary"] == "origin"
            assert shared(await server.client.get(path)) is None


async def test_browser_that_asks_first_is_told() -> None:
    """A preflight is answered for any path, without asking an actor."""
    settings = replace(SETTINGS, cors_origins=frozenset({SITE}))
    async with serving(settings=settings) as server:
        headers = {"Origin": SITE, **PREFLIGHT}
        response = await server.client.options("/v1/inventory/orders", headers=headers)
        assert (response.status_code, shared(response)) == (204, SITE)
        allowed = response.headers["access-control-allow-headers"].split(", ")
        assert {"idempotency-key", "if-none-match"} <= set(allowed)
        assert {"traceparent", "tracestate"} <= set(allowed)
        assert "content-length" not in response.headers
        evil = {**headers, "Origin": "https://evil.example"}
        assert (await server.client.options("/healthz", headers=evil)).status_code == 405
        assert (await server.client.options("/healthz")).status_code == 405
        client = await server.connect()
        head = get("/healthz", f"Origin: {SITE}", "Access-Control-Request-Method: GET")
        await client.send(head.replace(b"GET", b"OPTIONS", 1) + get())
        assert (await client.read_response(b"OPTIONS")).status == 204
        assert (await client.read_response()).status == 200
        assert server.world.asked == []


async def test_script_of_a_site_can_read_what_it_goes_by() -> None:
    """A site's script can read every header that the API uses to inform a client."""
    async with serving(settings=replace(SETTINGS, cors_origins=frozenset({SITE}))) as server:
        response = await server.client.get("/v1/ruleset", headers={"Origin": SITE})
        exposed = set(response.headers["access-control-expose-headers"].split(", "))
        assert exposed == {"etag", "idempotency-replayed", "retry-after", "x-request-id"}


async def test_every_site_may_be_let_in() -> None:
    """With an asterisk, which is sent to every site."""
    async with serving(settings=replace(SETTINGS, cors_origins=frozenset({"*"}))) as server:
        assert shared(await server.client.get("/healthz", headers={"Origin": SITE})) == "*"


@pytest.mark.parametrize("origins", [frozenset[str](), frozenset({SITE}), frozenset({"*"})])
async def test_connection_too_many_is_told_to_every_site(origins: frozenset[str]) -> None:
    """A script can read when to retry if every site may read: no request names its site."""
    settings = replace(SETTINGS, connections_max=1, cors_origins=origins)
    async with serving(settings=settings) as server:
        await server.connect()
        await server.wait_connection_open()
        response = await (await server.connect()).read_response()
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        shared_with = response.headers.get("access-control-allow-origin")
        assert shared_with == ("*" if "*" in origins else None)
        assert ("retry-after" in response.headers.get("access-control-expose-headers", "")) == (
            "*" in origins
        )


def test_policy_repeats_nothing_that_an_answer_says_itself() -> None:
    """A page has its own headers; TLS adds its own to all."""
    policy = Policy.of(security_headers=True, tls=True, origins=frozenset())
    assert policy.added(((b"x-frame-options", b"SAMEORIGIN"),)) == (
        *(header for header in ALWAYS if header[0] != b"x-frame-options"),
        TRANSPORT_SECURITY,
    )
    assert Policy.of(security_headers=False, tls=True, origins=frozenset()).added(()) == ()
