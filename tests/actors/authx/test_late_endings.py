"""Endings and refreshes that are given up but take effect later: then they count.

A commit that hangs (a standby that is away, a disk that stalls) keeps nobody from reading.
"""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from structlog.testing import LogCapture

from actors.authx import session_store
from actors.authx.actor import Authx
from actors.authx.errors import InvalidToken
from actors.authx.messages import (
    ChangePassword,
    EndSession,
    EndSessions,
    Login,
    Refresh,
    Register,
    Tokens,
)
from actors.database.driver import open_database
from actors.database.errors import DatabaseError, DatabaseTimeout, DatabaseUnavailable
from actors.shutdown import Phase, Shutdown
from actors.supervisor import RestartLimits, Supervisor
from bus import (
    ActorStopped,
    Interest,
    Message,
    Overloaded,
    ReplyTimeout,
    Topic,
    open_broadcast_channel,
)
from tests.actors.authx.harness import KEYRING, PASSWORD, Running, running_authx
from tests.actors.authx.support import CHEAP, WallClock
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from actors.authx.messages import AuthMessage
    from actors.authx.settings import AuthxSettings
    from actors.database.session import Script, Session
    from bus import Bus

IMPATIENT = replace(CHEAP, query_timeout_ms=300, reconnect_backoff_ms=1, listen_probe_ms=1_000_000)
PATIENT = replace(IMPATIENT, query_timeout_ms=20_000)
_GATE = 4711

_HANG_AT_COMMIT = f"""
create function pass_gate() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock({_GATE}); return null; end $$;
create constraint trigger gate after delete or update on sessions deferrable initially deferred
    for each row execute function pass_gate()
"""
_CLEAR_AWAY = "drop trigger gate on sessions; drop function pass_gate"


@asynccontextmanager
async def commits_hang(running: Running, dsn: str) -> AsyncGenerator[None]:
    """Have each commit that ends or refreshes a session hang until the block is left."""
    await run_script(dsn, lambda session: session.execute(_HANG_AT_COMMIT))
    holder = await running.database.connect(name="test")

    async def close_gate(session: Session) -> None:
        await session.execute(f"select pg_advisory_lock({_GATE})")

    await holder.run(close_gate)
    try:
        yield
    finally:
        await holder.aclose()


async def wait_refreshed(running: Running, session_id: str) -> None:
    """Wait until a session has been refreshed, which must be later than it was created."""

    async def is_refreshed() -> bool:
        sql = "select refreshed_at > created_at from sessions where session_id = $1"
        return bool(await running.fetchval(sql, session_id))

    await running.wait_until(is_refreshed)


async def check_used_once(running: Running, tokens: Tokens, again: Tokens) -> None:
    """Check that ``again`` is valid; the tokens before then count as used, as ever."""
    assert (await running.authorize(again)).session_id == tokens.session_id
    assert not running.events("refresh_token_reused")
    with pytest.raises(InvalidToken):
        await running.ask(Refresh(tokens.refresh_token))
    with pytest.raises(InvalidToken):
        await running.ask(Refresh(again.refresh_token))


def rotate_and_lose() -> Callable[[session_store.Rotation], Script[object]]:
    """Return a rotation that takes effect, and whose answer the database loses."""
    rotate_session = session_store.rotate_session

    def rotate(rotation: session_store.Rotation) -> Script[object]:
        async def script(session: Session) -> object:
            await rotate_session(rotation)(session)
            raise DatabaseUnavailable("the database was unreachable a moment ago")

        return script

    return rotate


@pytest.mark.parametrize(
    "what", ["logout", "logout everywhere", "one session", "password", "stolen token"]
)
async def test_session_read_again_before_its_end_took_effect_is_not_believed_after_it(
    database_dsn: str, what: str
) -> None:
    """A caller told that the database is away may still rely on the end, once it takes effect."""
    async with running_authx(database_dsn, IMPATIENT) as running:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        other = await running.login(account.username)
        account_id = account.account_id
        rotated: Tokens = await running.ask(Refresh(other.refresh_token))
        ends: dict[str, AuthMessage] = {
            "logout": EndSessions(account_id, other.session_id),
            "logout everywhere": EndSessions(account_id),
            "one session": EndSession(account_id, other.session_id),
            "password": ChangePassword(account_id, tokens.session_id, PASSWORD, "another one"),
            "stolen token": Refresh(other.refresh_token),
        }

        async def is_believed() -> bool:
            try:
                await running.authorize(rotated)
            except DatabaseError:
                return False
            return True

        async def is_refused() -> bool:
            try:
                await running.authorize(rotated)
            except InvalidToken:
                return True
            return False

        try:
            async with commits_hang(running, database_dsn):
                with pytest.raises(DatabaseTimeout):
                    await running.ask(ends[what])
                await running.wait_until(is_believed)
            await running.wait_until(is_refused)
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))


async def test_refresh_that_takes_effect_late_ends_no_session(database_dsn: str) -> None:
    """A caller told that the database is away sends the token again: that is no theft.

    The retry gets what the first would have got; then the token before is a used one, as ever.
    """
    async with running_authx(database_dsn, IMPATIENT) as running:
        _, tokens = await running.newcomer()

        running.clock.advance(1)
        try:
            async with commits_hang(running, database_dsn):
                with pytest.raises(DatabaseTimeout):
                    await running.ask(Refresh(tokens.refresh_token))
            await wait_refreshed(running, tokens.session_id)
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))
        again: Tokens = await running.ask(Refresh(tokens.refresh_token))
        assert again.session_id == tokens.session_id
        assert again.refresh_token != tokens.refresh_token
        await check_used_once(running, tokens, again)


async def test_refresh_whose_answer_was_lost_with_the_database_ends_no_session(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took effect, then the database died and could not be asked: a retry is no theft."""
    async with running_authx(database_dsn, IMPATIENT) as running:
        _, tokens = await running.newcomer()
        with monkeypatch.context() as patch:
            patch.setattr(session_store, "rotate_session", rotate_and_lose())
            with pytest.raises(DatabaseUnavailable):
                await running.ask(Refresh(tokens.refresh_token))
        again: Tokens = await running.ask(Refresh(tokens.refresh_token))
        assert (await running.authorize(again)).session_id == tokens.session_id
        assert not running.events("refresh_token_reused")


async def test_refresh_whose_answer_was_lost_before_a_restart_of_the_actor_ends_no_session(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The actor failed over something else before the client's retry: that is no theft."""
    async with supervised_authx(database_dsn) as (bus, logged):

        async def ask(message: object) -> Any:
            return await bus.ask(Topic.AUTH, message, timeout_s=10)

        await ask(Register("restarted", PASSWORD))
        tokens: Tokens = await ask(Login("restarted", PASSWORD))
        with monkeypatch.context() as patch:
            patch.setattr(session_store, "rotate_session", rotate_and_lose())
            with pytest.raises(DatabaseUnavailable):
                await ask(Refresh(tokens.refresh_token))
        with pytest.raises(ActorStopped):
            await ask("no message of Authx")
        again: Tokens = await ask(Refresh(tokens.refresh_token))
        assert again.session_id == tokens.session_id
        assert "refresh_token_reused" not in {entry["event"] for entry in logged.entries}


@asynccontextmanager
async def supervised_authx(
    dsn: str, settings: AuthxSettings = IMPATIENT
) -> AsyncGenerator[tuple[Bus, LogCapture]]:
    """Run an Authx that is restarted when it fails, and keep its log."""
    bus, logged = open_broadcast_channel(), LogCapture()
    log = quiet_log(logged)
    subscription = bus.subscribe(Interest(Topic.AUTH), Interest(Topic.SHUTDOWN), buffer=100)
    async with open_database(dsn, log=log) as database, trio.open_nursery() as nursery:
        authx = Authx(
            subscription, bus, database, KEYRING, settings, wall_clock=WallClock(), log=log
        )
        limits = RestartLimits(backoff_ms=1)
        supervisor = Supervisor(nursery, limits, rng=random.Random(1), log=log)
        await supervisor.start("authx", authx)
        yield bus, logged
        supervisor.stopping()
        bus.send_nowait(Message(Topic.SHUTDOWN, Shutdown(Phase.STORAGE, "test")))


@pytest.mark.parametrize("comes_again", ["while it is under way", "after it took effect"])
async def test_refresh_that_nobody_waited_for_any_more_ends_no_session(
    database_dsn: str, comes_again: str
) -> None:
    """Without an answer in time (504), a client sends the token again and gets its new ones.

    Once it has them, the token before is a used one, as ever.
    """
    async with running_authx(database_dsn, PATIENT) as running:
        _, tokens = await running.newcomer()
        given: list[Tokens] = []

        async def refresh_again() -> None:
            given.append(await running.ask(Refresh(tokens.refresh_token)))

        running.clock.advance(1)
        try:
            async with trio.open_nursery() as nursery:
                async with commits_hang(running, database_dsn):
                    with pytest.raises(ReplyTimeout):
                        await running.ask(Refresh(tokens.refresh_token), timeout_s=0.3)
                    if comes_again == "while it is under way":
                        nursery.start_soon(refresh_again)
                        await trio.testing.wait_all_tasks_blocked(0.05)
                if comes_again == "after it took effect":
                    await wait_refreshed(running, tokens.session_id)
                    await refresh_again()
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))
        [again] = given
        await check_used_once(running, tokens, again)


async def test_refresh_of_a_client_that_has_hung_up_is_not_begun(database_dsn: str) -> None:
    """A stalled server may find it beside the retry, in either order."""
    async with running_authx(database_dsn) as running:
        _, tokens = await running.newcomer()
        outcomes: list[object] = []

        async def refresh(*, has_hung_up: bool) -> None:
            try:
                outcomes.append(
                    await running.ask(
                        Refresh(tokens.refresh_token, has_hung_up=lambda: has_hung_up)
                    )
                )
            except Overloaded as refusal:
                outcomes.append(type(refusal))

        async with trio.open_nursery() as nursery:
            for has_hung_up in (True, False, True):
                nursery.start_soon(partial(refresh, has_hung_up=has_hung_up))
        assert outcomes.count(Overloaded) == 2
        [again] = [outcome for outcome in outcomes if isinstance(outcome, Tokens)]
        await check_used_once(running, tokens, again)


async def test_refresh_of_a_client_that_hangs_up_meanwhile_is_given_to_whoever_comes_again(
    database_dsn: str,
) -> None:
    """The first gets none, in case it still reads: two would share a token."""
    async with running_authx(database_dsn, PATIENT) as running:
        _, tokens = await running.newcomer()
        outcomes: list[object] = []
        hung_up = trio.Event()

        async def refresh(has_hung_up: Callable[[], bool] = lambda: False) -> None:
            try:
                outcomes.append(
                    await running.ask(Refresh(tokens.refresh_token, has_hung_up=has_hung_up))
                )
            except Overloaded as refusal:
                outcomes.append(type(refusal))

        running.clock.advance(1)
        try:
            async with trio.open_nursery() as nursery, commits_hang(running, database_dsn):
                nursery.start_soon(refresh, hung_up.is_set)
                await trio.testing.wait_all_tasks_blocked(0.05)
                hung_up.set()
                nursery.start_soon(refresh)
                await trio.testing.wait_all_tasks_blocked(0.05)
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))
        assert outcomes.count(Overloaded) == 1
        [again] = [outcome for outcome in outcomes if isinstance(outcome, Tokens)]
        await check_used_once(running, tokens, again)


@pytest.mark.parametrize("key", ["", "key 2"])
async def test_refresh_with_a_key_that_nobody_waited_for_is_given_to_nobody_without_it(
    database_dsn: str, key: str
) -> None:
    """Its client will send it again with the key: whoever has the token alone is a thief."""
    async with running_authx(database_dsn) as running:
        _, tokens = await running.newcomer()
        looks = iter((False,))
        with pytest.raises(Overloaded):
            await running.ask(Refresh(tokens.refresh_token, "key 1", lambda: next(looks, True)))
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token, key))
        assert await running.refuses(tokens)
        assert running.events("refresh_token_reused")


async def test_refresh_that_comes_late_and_hangs_up_ends_no_session(database_dsn: str) -> None:
    """A retry that was answered keeps its session when the abandoned first request runs."""
    async with running_authx(database_dsn) as running:
        _, tokens = await running.newcomer()
        again: Tokens = await running.ask(Refresh(tokens.refresh_token))
        looks = iter((False,))
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token, has_hung_up=lambda: next(looks, True)))
        assert not running.events("refresh_token_reused")
        assert (await running.authorize(again)).session_id == again.session_id
        # A caller that waits is a thief, or was robbed.
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(tokens.refresh_token))
        assert running.events("refresh_token_reused")
        assert await running.refuses(again)


async def test_two_who_wait_for_the_refresh_of_one_token_are_not_given_the_same(
    database_dsn: str,
) -> None:
    """One of them stole it, and nobody knows which: the session ends."""
    async with running_authx(database_dsn, PATIENT) as running:
        _, tokens = await running.newcomer()
        given: list[Tokens] = []
        refused: list[InvalidToken] = []

        async def refresh() -> None:
            try:
                given.append(await running.ask(Refresh(tokens.refresh_token)))
            except InvalidToken as error:
                refused.append(error)

        try:
            async with trio.open_nursery() as nursery, commits_hang(running, database_dsn):
                nursery.start_soon(refresh)
                nursery.start_soon(refresh)
                await trio.testing.wait_all_tasks_blocked(0.05)
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))
        assert (len(given), len(refused)) == (1, 1)
        with pytest.raises(InvalidToken):
            await running.ask(Refresh(given[0].refresh_token))


async def test_refresh_that_waits_too_long_for_its_turn_is_not_made(database_dsn: str) -> None:
    """If many come at once, those who would be answered too late are told so, and retry."""
    settings = replace(PATIENT, database_connections=1, refresh_wait_ms=100)
    async with running_authx(database_dsn, settings) as running:
        _, slow = await running.newcomer()
        _, late = await running.newcomer()
        try:
            async with trio.open_nursery() as nursery, commits_hang(running, database_dsn):
                nursery.start_soon(running.ask, Refresh(slow.refresh_token))
                await trio.testing.wait_all_tasks_blocked(0.05)
                for _ in range(2):
                    with pytest.raises(Overloaded):
                        await running.ask(Refresh(late.refresh_token))
        finally:
            await run_script(database_dsn, lambda session: session.execute(_CLEAR_AWAY))
        again: Tokens = await running.ask(Refresh(late.refresh_token))
        assert (await running.authorize(again)).session_id == late.session_id
