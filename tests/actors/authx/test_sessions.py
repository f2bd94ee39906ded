"""Sessions over the bus: refresh, revocation, expiry; all on a real database."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from actors.authx import session_store
from actors.authx.errors import InvalidToken
from actors.authx.messages import (
    Authorize,
    EndSessions,
    Identity,
    ListSessions,
    Refresh,
    SessionInfo,
    Tokens,
)
from actors.authx.refresh import issue_refresh_token
from tests.actors.authx.harness import KEYRING, running_authx
from tests.actors.authx.support import CHEAP


async def test_refresh_gives_new_tokens_of_the_same_session(database_dsn: str) -> None:
    """Both tokens are new, the session is the old one and lasts longer."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        running.clock.advance(60)
        renewed = await running.ask(Refresh(tokens.refresh_token))
        assert (renewed.account_id, renewed.session_id) == (account.account_id, tokens.session_id)
        assert renewed.access_token != tokens.access_token
        assert renewed.refresh_token != tokens.refresh_token
        await running.authorize(renewed)
        await running.authorize(tokens)  # the access token lives until it expires
        (session,) = await running.ask(ListSessions(account.account_id))
        assert (session.refreshed_at - session.created_at).total_seconds() == 60
        assert (session.expires_at - running.clock.now).total_seconds() == CHEAP.refresh_seconds


async def test_refresh_token_used_again_ends_its_whole_session(database_dsn: str) -> None:
    """An older token ends the session for everyone: thief and owner alike."""
    async with running_authx(database_dsn) as running:
        account, first = await running.newcomer()
        other = await running.login(account.username)
        second = await running.ask(Refresh(first.refresh_token))
        third = await running.ask(Refresh(second.refresh_token))
        await running.authorize(third)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(first.refresh_token))
        for tokens in (first, second, third):
            with pytest.raises(InvalidToken):
                await running.authorize(tokens)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(third.refresh_token))
        await running.authorize(other)
        (reuse,) = running.events("refresh_token_reused")
        assert reuse["session_id"] == first.session_id


async def test_refresh_with_one_token_by_many_at_once_has_at_most_one_winner(
    database_dsn: str,
) -> None:
    """Two that present the same token cannot both win, and the loser counts as a reuse."""
    async with running_authx(database_dsn) as running:
        for _ in range(5):
            _, tokens = await running.newcomer()
            await running.authorize(tokens)
            won: list[Tokens] = []
            lost: list[InvalidToken] = []

            async def attempt(
                text: str, won: list[Tokens] = won, lost: list[InvalidToken] = lost
            ) -> None:
                try:
                    won.append(await running.ask(Refresh(text)))
                except InvalidToken as refusal:
                    lost.append(refusal)

            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(attempt, tokens.refresh_token)
            assert (len(won), len(lost)) == (1, 3)
            for survivor in (tokens, *won):
                with pytest.raises(InvalidToken):
                    await running.authorize(survivor)
                with pytest.raises(InvalidToken):
                    await running.ask(Refresh(survivor.refresh_token))


async def test_refresh_sent_again_with_its_key_is_given_the_same_token(database_dsn: str) -> None:
    """An answer lost on the way costs nothing, not even after a restart."""
    async with running_authx(database_dsn) as running:
        account, first = await running.newcomer()
        request = Refresh(first.refresh_token, "key 1")
        lost = await running.ask(request)
        running.clock.advance(7)
        again = await running.ask(request)
        assert again.refresh_token == lost.refresh_token != first.refresh_token
        (session,) = await running.ask(ListSessions(account.account_id))
        assert (session.refreshed_at - session.created_at).total_seconds() == 7
    async with running_authx(database_dsn) as running:
        restarted = await running.ask(request)
        assert restarted.refresh_token == lost.refresh_token
        assert (await running.authorize(restarted)).session_id == first.session_id
        assert not running.events("refresh_token_reused")


@pytest.mark.parametrize("key", ["", "key 2"])
async def test_refresh_sent_again_without_its_key_ends_the_session(
    database_dsn: str, key: str
) -> None:
    """A thief has the token, but not the key that its owner sent with it."""
    async with running_authx(database_dsn) as running:
        _, first = await running.newcomer()
        second = await running.ask(Refresh(first.refresh_token, "key 1"))
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(first.refresh_token, key))
        assert await running.refuses(second)
        assert len(running.events("refresh_token_reused")) == 1


async def test_refresh_sent_again_with_its_key_ends_the_session_once_the_next_was_used(
    database_dsn: str,
) -> None:
    """Whoever used the next token received it: this is no retry."""
    async with running_authx(database_dsn) as running:
        _, first = await running.newcomer()
        second = await running.ask(Refresh(first.refresh_token, "key 1"))
        third = await running.ask(Refresh(second.refresh_token, "key 2"))
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(first.refresh_token, "key 1"))
        assert await running.refuses(third)


async def test_refresh_by_many_at_once_with_the_same_key_is_one_request(database_dsn: str) -> None:
    """A retry may overtake the attempt that its client has given up, or run beside it."""
    async with running_authx(database_dsn) as running:
        _, first = await running.newcomer()
        given: list[Tokens] = []

        async def attempt() -> None:
            given.append(await running.ask(Refresh(first.refresh_token, "key 1")))

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(attempt)
        [refresh_token] = {tokens.refresh_token for tokens in given}
        await running.ask(Refresh(refresh_token, "key 2"))


async def test_refresh_with_a_made_up_token_ends_no_session(database_dsn: str) -> None:
    """Only tokens this server issued can be reused; invented ones affect nothing."""
    async with running_authx(database_dsn) as running:
        _, tokens = await running.newcomer()
        text = tokens.refresh_token
        for made_up in ("", "nonsense", text[:-1] + ("A" if text[-1] != "A" else "B"), text + "="):
            with pytest.raises(InvalidToken):
                await running.ask(Refresh(made_up))
        assert (await running.ask(Refresh(text))).session_id == tokens.session_id


async def test_refresh_of_a_session_that_never_was_is_refused(database_dsn: str) -> None:
    """A genuine token whose session is gone is refused without an alarm."""
    async with running_authx(database_dsn) as running:
        text, _ = issue_refresh_token(KEYRING, "01890a5d-ac96-774b-bcce-b302099a8057")
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(text))
        assert running.events("refresh_token_reused") == []


async def test_refresh_after_expiry_is_refused(database_dsn: str) -> None:
    """An expired session stays expired, and its end is no reuse."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
        running.clock.advance(CHEAP.refresh_seconds)
        assert await running.ask(ListSessions(account.account_id)) == ()
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert running.events("refresh_token_reused") == []


async def test_session_list_is_newest_first_and_only_the_accounts_own(database_dsn: str) -> None:
    """The list shows each live session's times."""
    async with running_authx(database_dsn) as running:
        account, first = await running.newcomer()
        await running.newcomer()
        started = running.clock.now
        running.clock.advance(5)
        second = await running.login(account.username)
        sessions = await running.ask(ListSessions(account.account_id))
        assert [session.session_id for session in sessions] == [second.session_id, first.session_id]
        assert sessions[1] == SessionInfo(
            first.session_id, started, started, sessions[1].expires_at
        )


@pytest.mark.parametrize("whole_account", [False, True])
async def test_session_that_is_ended_is_refused_at_once(
    database_dsn: str, whole_account: bool
) -> None:
    """From the answer on, no token of an ended session is valid, cached or not."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account, mine = await running.newcomer()
        other = await running.login(account.username)
        _, strangers = await running.newcomer()
        for tokens in (mine, other, strangers):
            await running.authorize(tokens)
        ended = None if whole_account else mine.session_id
        assert await running.ask(EndSessions(account.account_id, ended)) is None
        with pytest.raises(InvalidToken):
            await running.authorize(mine)
        if whole_account:
            with pytest.raises(InvalidToken):
                await running.authorize(other)
        else:
            await running.authorize(other)
        await running.authorize(strangers)


async def test_session_of_another_account_cannot_be_ended(database_dsn: str) -> None:
    """Ownership is checked where the session is."""
    async with running_authx(database_dsn) as running:
        account, _ = await running.newcomer()
        _, victim = await running.newcomer()
        await running.ask(EndSessions(account.account_id, victim.session_id))
        await running.authorize(victim)


async def test_session_revoked_in_the_middle_of_many_checks_stays_revoked(
    database_dsn: str,
) -> None:
    """No check that was in progress puts an ended session back into the cache."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        for _ in range(10):
            account, tokens = await running.newcomer()

            async def check(tokens: Tokens = tokens) -> None:
                for _ in range(3):
                    try:
                        await running.authorize(tokens)
                    except InvalidToken:
                        return

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(check)
                nursery.start_soon(running.ask, EndSessions(account.account_id))
            with pytest.raises(InvalidToken):
                await running.authorize(tokens)


async def test_session_runs_out_although_its_token_has_not(database_dsn: str) -> None:
    """A cached session ends at its own time, which may come before the token's."""
    settings = replace(CHEAP, token_seconds=100, refresh_seconds=100)
    clock_settings = replace(CHEAP, token_seconds=1000, refresh_seconds=1000)
    async with running_authx(database_dsn, settings) as running:
        account, tokens = await running.newcomer()
    async with running_authx(database_dsn, clock_settings, clock=running.clock) as longer:
        await longer.wait_listening()
        text = longer.authx._tokens.issue(
            account_id=account.account_id, session_id=tokens.session_id, role="player"
        )
        longer.clock.advance(99)
        assert (await longer.ask(Authorize(text))).session_id == tokens.session_id
        longer.clock.advance(1)
        with pytest.raises(InvalidToken):
            await longer.ask(Authorize(text))


async def test_session_does_not_count_for_another_accounts_token(database_dsn: str) -> None:
    """A token whose account is not its session's is refused, from the database and the cache."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        _, tokens = await running.newcomer()
        other, _ = await running.newcomer()
        text = running.authx._tokens.issue(
            account_id=other.account_id, session_id=tokens.session_id, role="player"
        )
        for _ in range(2):
            with pytest.raises(InvalidToken):
                await running.ask(Authorize(text))
            await running.authorize(tokens)


async def test_session_survives_a_restart_of_the_server(database_dsn: str) -> None:
    """Sessions are in the database: a new Authx with the same keys continues them."""
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()
    async with running_authx(database_dsn) as running:
        assert await running.authorize(tokens) == Identity(
            account.account_id, tokens.session_id, "player", account.username
        )
        await running.ask(Refresh(tokens.refresh_token))


async def test_sessions_that_have_run_out_are_deleted_in_batches(database_dsn: str) -> None:
    """Each step removes a bounded number of expired sessions, and nothing else."""
    async with running_authx(database_dsn) as running:
        account = await running.register()
        for _ in range(3):
            await running.login(account.username)
        running.clock.advance(CHEAP.refresh_seconds)
        live = await running.login(account.username)
        connection = await running.database.connect(name="test")
        script = session_store.delete_expired_sessions(now=running.clock.now, batch=2)
        await connection.run(script)
        count = "select count(*) from sessions where account_id = $1"
        left = [await running.fetchval(count, account.account_id)]
        while await connection.run(script):
            left.append(await running.fetchval(count, account.account_id))
        await connection.aclose()
        assert left[0] >= 2
        assert left[-1] == 1
        await running.authorize(live)
