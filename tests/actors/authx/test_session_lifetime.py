"""The maximum lifetime of a session: no refresh, access token or restart exceeds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from actors.authx.errors import InvalidToken
from actors.authx.lifetimes import Lifetimes
from actors.authx.messages import (
    GetAccountOverview,
    ListSessions,
    Refresh,
    RevokeSessions,
)
from tests.actors.authx.harness import running_authx
from tests.actors.authx.support import CHEAP, WallClock

DAY = 24 * 3600
LIMITED = replace(CHEAP, session_days_max=2, refresh_seconds=30 * DAY)

_STORED_END = "select expires_at from sessions where session_id = $1"


async def test_refresh_never_promises_more_than_is_left(database_dsn: str) -> None:
    """Both tokens and the list say when the session ends; then it is refused as expired."""
    async with running_authx(database_dsn, LIMITED) as running:
        account, tokens = await running.newcomer()
        begun = running.clock.now
        assert (tokens.expires_in, tokens.refresh_expires_in) == (CHEAP.token_seconds, 2 * DAY)
        for after_s, access_s, refresh_s in (
            (DAY, CHEAP.token_seconds, DAY),
            (2 * DAY - 100.5, 100, 100),
            (2 * DAY - 1, 1, 1),
        ):
            running.clock.advance(after_s - (running.clock.now - begun).total_seconds())
            tokens = await running.ask(Refresh(tokens.refresh_token))
            assert (tokens.expires_in, tokens.refresh_expires_in) == (access_s, refresh_s)
            await running.authorize(tokens)
            (session,) = await running.ask(ListSessions(account.account_id))
            ends_at = begun + timedelta(days=2)
            assert session.expires_at == ends_at
            # The token itself and the table say so too, for readers that do not know the limit.
            assert running.authx._tokens.verify(tokens.access_token).exp <= ends_at
            assert await running.fetchval(_STORED_END, tokens.session_id) == ends_at
        running.clock.advance(1)
        assert await running.refuses(tokens)
        assert await running.ask(ListSessions(account.account_id)) == ()
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert running.events("refresh_token_reused") == []
        await running.login(account.username)


async def test_refresh_in_the_last_second_is_refused_without_an_alarm(database_dsn: str) -> None:
    """Tokens that live for less than a second would be refreshed in a loop."""
    async with running_authx(database_dsn, LIMITED) as running:
        _, tokens = await running.newcomer()
        running.clock.advance(2 * DAY - 0.5)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert running.events("refresh_token_reused") == []


async def test_reused_token_of_a_limited_session_is_told_while_it_lives(database_dsn: str) -> None:
    """The limit does not hide a thief."""
    async with running_authx(database_dsn, LIMITED) as running:
        _, tokens = await running.newcomer()
        await running.ask(Refresh(tokens.refresh_token))
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert len(running.events("refresh_token_reused")) == 1


async def test_limit_holds_for_sessions_from_before_it(database_dsn: str) -> None:
    """After a start with a limit, old sessions have it too: refresh, access, list and counts."""
    endless = replace(LIMITED, session_days_max=0, token_seconds=DAY)
    limited = replace(LIMITED, token_seconds=DAY)
    clock = WallClock()
    async with running_authx(database_dsn, endless, clock=clock) as running:
        account, old = await running.newcomer()
        clock.advance(2 * DAY - 600)
        old = await running.ask(Refresh(old.refresh_token))
        assert old.refresh_expires_in == 30 * DAY
        new = await running.login(account.username)
    async with running_authx(database_dsn, limited, clock=clock) as running:
        await running.wait_listening()
        clock.advance(599)
        await running.authorize(old)
        clock.advance(1)
        assert await running.refuses(old)
        await running.authorize(new)
        listed = await running.ask(ListSessions(account.account_id))
        assert [session.session_id for session in listed] == [new.session_id]
        overview = await running.ask(GetAccountOverview(account.account_id))
        assert overview.sessions == 1
        assert await running.ask(RevokeSessions(account.account_id, None, "root", "why")) == 1
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(old.refresh_token))
        assert running.events("refresh_token_reused") == []


async def test_limit_counts_from_the_login_over_restarts(database_dsn: str) -> None:
    """Neither a restart nor a refresh resets it; without a limit a session never ends."""
    clock = WallClock()
    async with running_authx(database_dsn, LIMITED, clock=clock) as running:
        _, limited = await running.newcomer()
        _, other = await running.newcomer()
    clock.advance(DAY)
    async with running_authx(database_dsn, LIMITED, clock=clock) as running:
        limited = await running.ask(Refresh(limited.refresh_token))
        assert limited.refresh_expires_in == DAY
        clock.advance(DAY)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(limited.refresh_token))
    endless = replace(LIMITED, session_days_max=0)
    clock.advance(-1)
    async with running_authx(database_dsn, endless, clock=clock) as running:
        other = await running.ask(Refresh(other.refresh_token))
        for _ in range(10):
            clock.advance(29 * DAY)
            other = await running.ask(Refresh(other.refresh_token))
            assert (other.expires_in, other.refresh_expires_in) == (
                CHEAP.token_seconds,
                30 * DAY,
            )


def test_lives_are_none_below_nothing() -> None:
    """Tokens issued too late, because the database was slow, promise nothing."""
    clock = WallClock()
    begun = clock.now
    clock.advance(2 * DAY + 5)
    lives = Lifetimes(LIMITED).of_tokens(begun_at=begun, now=clock.now)
    assert (lives.access_s, lives.refresh_s) == (0, 0)
