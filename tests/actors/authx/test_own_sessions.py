"""Ending one session of several: at once, once, and only by its owner."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from uuid_utils import uuid7

from actors.authx import session_store
from actors.authx.errors import InvalidToken, UnknownSession
from actors.authx.messages import EndSession, ListSessions, Refresh, Tokens
from tests.actors.authx.harness import Running, running_authx
from tests.actors.authx.support import CHEAP


async def end(running: Running, tokens: Tokens, account_id: str | None = None) -> None:
    """End a session on behalf of its own account, or of another."""
    await running.ask(EndSession(account_id or tokens.account_id, tokens.session_id))


async def test_session_is_ended_alone_and_at_once(database_dsn: str) -> None:
    """Once answered, none of its tokens is valid; the account's other sessions continue."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account, kept = await running.newcomer()
        lost = await running.login(account.username)
        for tokens in (kept, lost):
            await running.authorize(tokens)
        await end(running, lost)
        assert await running.refuses(lost)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(lost.refresh_token))
        assert running.events("refresh_token_reused") == []
        await running.authorize(kept)
        (left,) = await running.ask(ListSessions(account.account_id))
        assert left.session_id == kept.session_id


async def test_session_that_is_not_there_for_this_account_is_unknown(database_dsn: str) -> None:
    """Another account's session, or one that never was, has ended or expired: nothing happens."""
    settings = replace(CHEAP, session_days_max=1)
    async with running_authx(database_dsn, settings) as running:
        await running.wait_listening()
        account, ended = await running.newcomer()
        other, others = await running.newcomer()
        await end(running, ended)
        run_out = await running.login(account.username)
        never = replace(run_out, session_id=str(uuid7()))
        await running.authorize(others)
        for tokens in (ended, others, never):
            with pytest.raises(UnknownSession):
                await end(running, tokens, account.account_id)
        await running.authorize(others)
        assert len(await running.ask(ListSessions(other.account_id))) == 1
        running.clock.advance(24 * 3600)
        with pytest.raises(UnknownSession):
            await end(running, run_out)


async def test_guess_at_a_session_wakes_nobody(database_dsn: str) -> None:
    """Guessing ids causes no session to be read again, and no stream to check."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        _, tokens = await running.newcomer()
        await running.authorize(tokens)
        assert running.authx.peek(tokens.access_token) is not None
        with pytest.raises(UnknownSession):
            await end(running, replace(tokens, session_id=str(uuid7())))
        assert running.authx.peek(tokens.access_token) is not None


async def test_session_ended_by_two_at_once_is_ended_for_both(database_dsn: str) -> None:
    """Each caller learns that it has ended or is unknown; either way it is gone."""
    async with running_authx(database_dsn) as running:
        for _ in range(10):
            account, kept = await running.newcomer()
            lost = await running.login(account.username)
            outcomes: list[str] = []

            async def end_it(lost: Tokens = lost, outcomes: list[str] = outcomes) -> None:
                try:
                    await end(running, lost)
                except UnknownSession:
                    outcomes.append("unknown")
                else:
                    outcomes.append("ended")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(end_it)
                nursery.start_soon(end_it)
            assert "ended" in outcomes
            assert await running.refuses(lost)
            await running.authorize(kept)


async def test_session_ended_beside_its_refresh_stays_ended(database_dsn: str) -> None:
    """Whichever comes first, after both no token of the session is valid, old or new."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        for _ in range(10):
            _, tokens = await running.newcomer()
            await running.authorize(tokens)
            given = [tokens]

            async def refresh(tokens: Tokens = tokens, given: list[Tokens] = given) -> None:
                try:
                    given.append(await running.ask(Refresh(tokens.refresh_token)))
                except InvalidToken:
                    return

            async with trio.open_nursery() as nursery:
                nursery.start_soon(refresh)
                nursery.start_soon(end, running, tokens)
            for each in given:
                assert await running.refuses(each)
                with pytest.raises(InvalidToken):
                    await running.ask(Refresh(each.refresh_token))
        assert running.events("refresh_token_reused") == []


async def test_ending_that_runs_twice_answers_as_the_first_time(database_dsn: str) -> None:
    """After a lost answer the session is gone, but this request ended it."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        connection = await running.database.connect(name="test")

        async def run_twice() -> list[bool]:
            script = session_store.end_session(
                account.account_id, tokens.session_id, now=running.clock.now
            )
            return [await connection.run(script) for _ in range(2)]

        assert await run_twice() == [True, True]
        assert await run_twice() == [False, False]
        await connection.aclose()
