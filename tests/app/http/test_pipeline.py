"""Behaviour of the pipeline and the table that no row of the contract shows."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from actors.authx.errors import InvalidCredentials
from app.http.endpoint import Answer, Auth, Call, Endpoint
from app.http.exchange import Headers, HttpRequest
from app.http.pipeline import Pipeline, bind
from tests.app.http.harness import FakeWorld, serving


class Echo(msgspec.Struct, frozen=True):
    """The request of a call."""

    path: dict[str, str]
    query: str | None


class Search(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query with a string."""

    name: Annotated[str, msgspec.Meta(max_length=10)]


async def echo(call: Call[None, Search]) -> Answer[Echo]:
    """Answer with what was asked."""
    return Answer(Echo(dict(call.path), call.query.name), headers=((b"x-extra", b"1"),))


async def whoami(call: Call[None, None]) -> str:
    """Answer who calls."""
    return call.caller.role


async def command(call: Call[None, None]) -> str:
    """Answer the key of the command."""
    return call.command.key


def row(handler: Any, **columns: Any) -> Endpoint:
    """Make a row of a table."""
    usual: dict[str, Any] = {
        "method": "GET",
        "path": "/x",
        "summary": "x",
        "tag": "x",
        "auth": Auth.NONE,
        "response": str,
    }
    return Endpoint(handler=handler, **{**usual, **columns})


async def test_table_is_easy_to_extend() -> None:
    """A new row with a text parameter and a query of its own is served without further code."""
    endpoint = row(echo, path="/x/{asset:text}", query=Search, response=Echo)
    async with serving(endpoints=[endpoint]) as server:
        response = await server.client.get("/x/wood%20cutter:3?name=a%20b")
        assert response.json() == {"path": {"asset": "wood cutter:3"}, "query": "a b"}
        assert response.headers["x-extra"] == "1"
        assert (await server.client.get("/x/a?name=abcdefghijk")).status_code == 422
        assert (await server.client.get("/x/a")).status_code == 422
        assert (await server.client.get("/x/%00?name=a")).status_code == 404
        assert (await server.client.get("/healthz")).status_code == 404


async def test_admin_endpoint_is_for_admins() -> None:
    """A player's token is valid but not sufficient: 403; an admin's is."""
    endpoint = row(whoami, auth=Auth.ADMIN)
    async with serving(endpoints=[endpoint]) as server:
        player = {"Authorization": "Bearer v4.local.good"}
        admin = {"Authorization": "Bearer v4.local.admin"}
        refused = await server.client.get("/x", headers=player)
        assert refused.status_code == 403
        assert refused.json()["type"] == "/problems/forbidden"
        assert (await server.client.get("/x", headers=admin)).json() == "admin"
        assert (await server.client.get("/x")).status_code == 401


async def test_handler_that_asks_for_what_its_row_lacks_fails_closed() -> None:
    """An endpoint open to anybody has no caller; an undeclared key is a logged error."""
    world = FakeWorld()
    rows = [row(whoami), row(command, path="/y")]
    async with serving(world, endpoints=rows) as server:
        assert (await server.client.get("/x")).status_code == 401
        assert (await server.client.get("/y")).status_code == 500
        assert len(world.events("request_failed")) == 1


@pytest.mark.parametrize("account_id", ["019a5c00-0000-7000-8000-00000000000a", None])
async def test_refused_password_is_logged_with_its_account_and_from_where(
    account_id: str | None,
) -> None:
    """Guessing can be traced without a log of all requests; the client learns of no account."""

    async def refuse(_: Call[None, None]) -> str:
        raise InvalidCredentials(account_id=account_id)

    world = FakeWorld()
    async with serving(world, endpoints=[row(refuse, path="/x")]) as server:
        refused = await server.client.get("/x", headers={"X-Request-Id": "one"})
        assert refused.status_code == 401
        assert "019a5c00" not in refused.text
    (event,) = world.events("password_refused")
    assert {**event} == {
        "event": "password_refused",
        "log_level": "info",
        "request_id": "one",
        "route": "/x",
        "client": "127.0.0.1",
        "account_id": account_id,
    }


async def test_pipeline_needs_no_quart() -> None:
    """Another front can serve the same table: a plain request in, a plain response out."""
    world = FakeWorld()
    pipeline = Pipeline(world.gateway(), log=world.log)
    bound = bind(row(echo, path="/x/{asset:text}", query=Search, response=Echo))
    request = HttpRequest("GET", "/x/mine", b"name=n", Headers([]), b"", "id")
    response = await pipeline.respond(bound, request, {"asset": "mine"})
    assert response.status == 200
    assert msgspec.json.decode(response.body) == {"path": {"asset": "mine"}, "query": "n"}


def test_row_with_an_unknown_kind_of_parameter_is_refused() -> None:
    """A mistake in the table shows when it is bound."""
    with pytest.raises(ValueError, match="colour"):
        bind(row(echo, path="/x/{a:colour}"))


def test_headers_keep_every_value() -> None:
    """A repeated header is seen twice."""
    headers = Headers([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    assert headers.all(b"a") == [b"1", b"3"]
    assert headers.all(b"c") == []
