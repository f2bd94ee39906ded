"""What a session promises: its token is renewed in time, once, and never lost in transit."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from holdfast_client import NoAnswer, Unauthorized
from holdfast_client.types import SessionTokens
from tests.client.backends import on_both_backends
from tests.client.servers import client, problem, tokens


class TokenServer:
    """Accepts only the latest access token, and each refresh token once, or with the same key.

    The answers to the next ``lost`` refreshes do not arrive.
    """

    def __init__(self, expires_in: int = 900) -> None:
        self.number = 1
        self.refreshes = 0
        self.expires_in = expires_in
        self.refresh_seconds = 0.0
        self.calls = 0
        self.lost = 0
        self.key: str = ""

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        match f"{request.method} {request.url.path}":
            case "POST /v1/sessions":
                return httpx.Response(201, json=tokens(self.number, self.expires_in))
            case "POST /v1/sessions/refresh":
                return await self.refresh(request)
            case call:
                self.calls += 1
                if request.headers["Authorization"] != f"Bearer access-{self.number}":
                    return problem(401, "invalid-token")
                if call.startswith("DELETE"):
                    self.number = -1
                    return httpx.Response(204)
                return httpx.Response(200, json={"orders": []})

    async def refresh(self, request: httpx.Request) -> httpx.Response:
        """Rotate the tokens."""
        self.refreshes += 1
        key = str(request.headers["Idempotency-Key"])
        again = self.number - 1 if key == self.key else self.number
        if request.content != b'{"refresh_token":"refresh-%d"}' % again:
            self.number = -1
            return problem(401, "invalid-token")
        self.key, self.number = key, again + 1
        if self.lost:
            self.lost -= 1
            raise httpx.ReadError("the connection is lost")
        await anyio.sleep(self.refresh_seconds)
        return httpx.Response(200, json=tokens(self.number, self.expires_in))


@on_both_backends()
async def test_session_renews_its_token_before_it_expires() -> None:
    """No call goes out with a token that is about to expire."""
    server = TokenServer(expires_in=100)
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        for wait_s, refreshes in ((0, 0), (80, 0), (15, 1), (50, 1), (45, 2)):
            await anyio.sleep(wait_s)
            await session.orders()
            assert server.refreshes == refreshes
    assert server.calls == 5


@on_both_backends()
async def test_session_renews_a_token_that_is_refused() -> None:
    """A token that ended early is renewed and the call retried, once."""
    server = TokenServer()
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        stale = session.tokens
        await session._credentials.renew(stale.access_token)
        session._credentials.tokens = SessionTokens(
            "account", "session", "stale", 900, session.tokens.refresh_token, 900
        )
        assert await session.orders() == []
    assert (server.refreshes, server.calls) == (2, 2)


@on_both_backends()
async def test_session_renews_once_for_many_calls() -> None:
    """Concurrent calls that find the token expired share one refresh."""
    server = TokenServer(expires_in=100)
    server.refresh_seconds = 1
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        await anyio.sleep(200)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(session.orders)
    assert (server.refreshes, server.calls) == (1, 20)


@on_both_backends()
async def test_session_keeps_what_a_cancelled_caller_renewed() -> None:
    """A refresh outlives its cancelled caller: otherwise its token and session would be lost."""
    server = TokenServer(expires_in=100)
    server.refresh_seconds = 2
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        await anyio.sleep(200)
        with anyio.move_on_after(1):
            await session.orders()
        assert session.tokens.refresh_token == "refresh-2"
        assert await session.orders() == []
    assert server.refreshes == 1


@on_both_backends()
async def test_session_survives_a_refresh_whose_answer_is_lost() -> None:
    """The refresh is sent again with its key, by itself or with a later call."""
    server = TokenServer(expires_in=100)
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        for lost, calls in ((2, 1), (6, 2)):
            await anyio.sleep(200)
            server.lost = lost
            for _ in range(calls - 1):
                with pytest.raises(NoAnswer):
                    await session.orders()
            assert await session.orders() == []
        assert session.tokens.refresh_token == "refresh-3"
    assert server.refreshes == 3 + 7


@on_both_backends()
async def test_session_does_not_hold_up_a_cancelled_caller_for_long() -> None:
    """A server that does not answer a refresh holds up a caller for at most five seconds."""
    server = TokenServer(expires_in=100)
    server.refresh_seconds = 1_000
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        await anyio.sleep(200)
        began = anyio.current_time()
        with anyio.move_on_after(1):
            await session.orders()
        assert anyio.current_time() - began <= 5.001
        server.refresh_seconds = 0


@on_both_backends()
async def test_session_goes_on_with_kept_tokens() -> None:
    """Tokens kept across a restart resume the same session."""
    server = TokenServer()
    async with client(server) as opened:
        kept = (await opened.log_in("ann", "password")).tokens
    assert "refresh-1" not in repr(kept)
    async with client(server) as opened:
        session = opened.resume(kept)
        assert await session.orders() == []
        assert server.refreshes == 0
        server.number = 2
        with pytest.raises(Unauthorized):
            await session.orders()


@on_both_backends()
async def test_session_that_has_ended_says_so() -> None:
    """When the session was ended elsewhere, the caller gets the refusal."""
    server = TokenServer()
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        server.number = -1
        with pytest.raises(Unauthorized) as caught:
            await session.orders()
    assert caught.value.slug == "invalid-token"


@pytest.mark.parametrize("how", ["log_out", "log_out_everywhere"])
@on_both_backends()
async def test_session_that_was_closed_is_not_renewed(how: str) -> None:
    """After logging out nothing reopens the session."""
    server = TokenServer()
    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        await getattr(session, how)()
        with pytest.raises(Unauthorized):
            await session.orders()
        with pytest.raises(Unauthorized, match="the session has ended"):
            await session._credentials.renew(session.tokens.access_token)
    assert server.refreshes == 0


@on_both_backends()
async def test_session_does_not_take_every_401_for_its_token() -> None:
    """A wrong password is no reason to renew the token."""

    async def server(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/sessions":
            return httpx.Response(201, json=tokens(1))
        assert request.url.path != "/v1/sessions/refresh"
        return problem(401, "invalid-credentials")

    async with client(server) as opened:
        session = await opened.log_in("ann", "password")
        with pytest.raises(Unauthorized, match="invalid-credentials"):
            await session.erase_account("wrong")


@on_both_backends()
async def test_session_survives_a_refresh_that_was_not_sent() -> None:
    """If the server could not be reached, the refresh token is still valid."""
    server = TokenServer(expires_in=100)
    away: dict[str, Any] = {"now": False}

    async def door(request: httpx.Request) -> httpx.Response:
        if away["now"]:
            raise httpx.ConnectError("refused")
        return await server(request)

    async with client(door) as opened:
        session = await opened.log_in("ann", "password")
        await anyio.sleep(200)
        away["now"] = True
        with pytest.raises(NoAnswer):
            await session.orders()
        away["now"] = False
        assert await session.orders() == []
