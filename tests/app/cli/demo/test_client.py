"""What the demo's client promises: anything but the promised answer is a failure in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from app.cli.demo.answers import Page
from app.cli.demo.client import BrokenPromise, Client

if TYPE_CHECKING:
    from collections.abc import Callable


def client(handle: Callable[[httpx.Request], httpx.Response]) -> Client:
    """Make a client of a server that answers with ``handle``."""
    transport = httpx.MockTransport(handle)
    return Client(httpx.AsyncClient(transport=transport, base_url="http://server"))


def problem(status: int, slug: str) -> httpx.Response:
    """Make a refusal."""
    return httpx.Response(status, json={"type": f"/problems/{slug}", "detail": "no"})


async def test_client_sends_its_token() -> None:
    """Once there is a token, every request carries it."""
    seen: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Authorization"))
        return httpx.Response(200, json={"entries": [], "next": None})

    player = client(handle)
    await player.get("/v1/inventory/ledger", Page)
    player.token = "abc"
    await player.get("/v1/inventory/ledger", Page)
    assert seen == [None, "Bearer abc"]


async def test_client_refuses_another_status() -> None:
    """An answer that was not promised is told with what the server said."""
    player = client(lambda _: httpx.Response(500, text="oops\n  all\nover"))
    with pytest.raises(BrokenPromise, match=r"^GET /x was answered 500, not 200: oops all over$"):
        await player.get("/x", Page)


async def test_client_refuses_another_shape() -> None:
    """A body of another shape is told with the place of the difference."""
    player = client(lambda _: httpx.Response(200, json={"entries": 5}))
    with pytest.raises(BrokenPromise, match=r"another shape: .*entries"):
        await player.get("/x", Page)


async def test_client_refuses_another_problem() -> None:
    """A refusal for another reason than the promised one does not count."""
    player = client(lambda _: problem(409, "queue-full"))
    with pytest.raises(BrokenPromise, match="'queue-full', not 'max-level'"):
        await player.refused("POST", "/x", promised=409, slug="max-level")


async def test_client_gives_the_promised_problem() -> None:
    """The promised refusal comes back with its members."""
    body = {"type": "/problems/insufficient-resources", "missing": {"gold": 2}}
    player = client(lambda _: httpx.Response(409, content=msgspec.json.encode(body)))
    told = await player.refused("POST", "/x", promised=409, slug="insufficient-resources")
    assert told.missing == {"gold": 2}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (httpx.ConnectError("refused"), "no server answers at http://server"),
        (httpx.ReadTimeout(""), "GET /x: ReadTimeout"),
        (httpx.RemoteProtocolError("cut off"), "GET /x: cut off"),
    ],
)
async def test_client_tells_of_a_server_that_is_not_there(
    error: httpx.HTTPError, told: str
) -> None:
    """No connection, no answer, a broken answer: each is one line."""

    def handle(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(BrokenPromise) as caught:
        await client(handle).get("/x", Page)
    assert str(caught.value).startswith(told)
