"""Authx as an actor: bounded under load, answering to the end, alive without its database."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from actors.authx.actor import Authx
from actors.authx.errors import InvalidCredentials, InvalidToken, TooManyAttempts
from actors.authx.messages import (
    Authorize,
    EndSessions,
    GetAccount,
    ListSessions,
    Login,
    Refresh,
    Register,
)
from actors.database.driver import open_database
from actors.database.errors import DatabaseError, DatabaseUnavailable
from actors.shutdown import Phase, Shutdown
from actors.supervisor import RestartLimits, Supervisor
from bus import ActorStopped, Interest, Message, Overloaded, Topic, open_broadcast_channel
from tests.actors.authx.fakes import FakeDatabase
from tests.actors.authx.harness import KEYRING, PASSWORD, running_authx
from tests.actors.authx.support import CHEAP, WallClock
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from actors.database.driver import Session
    from bus import Bus, PendingReply

KILL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and application_name like 'holdfast authx%'
"""


def authx_on(database: Any, bus: Bus, settings: Any = CHEAP) -> Authx:
    """Make an Authx on any database."""
    subscription = bus.subscribe(Interest(Topic.AUTH), Interest(Topic.SHUTDOWN), buffer=100)
    return Authx(
        subscription, bus, database, KEYRING, settings, wall_clock=WallClock(), log=quiet_log()
    )


def end(bus: Bus, phase: Phase = Phase.STORAGE) -> None:
    """Publish a phase of the shutdown."""
    bus.send_nowait(Message(Topic.SHUTDOWN, Shutdown(phase, "test")))


async def test_actor_serves_those_who_are_logged_in_through_a_flood_of_logins(
    database_dsn: str,
) -> None:
    """Hundreds of logins at once: few are hashed, the rest refused, and everyone else is served."""
    settings = replace(CHEAP, hash_workers=1, hash_queue=4, attempts_per_user=1000)
    async with running_authx(database_dsn, settings) as running:
        account, tokens = await running.newcomer()
        running.engine.operations.clear()
        outcomes: list[type[Exception]] = []

        async def flood(number: int) -> None:
            try:
                await running.login(f"nobody{number}")
            except (InvalidCredentials, Overloaded) as refusal:
                outcomes.append(type(refusal))

        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(flood, number)
            for _ in range(20):
                assert (await running.authorize(tokens)).account_id == account.account_id
                await running.ask(ListSessions(account.account_id))
        assert len(outcomes) == 300
        hashed = outcomes.count(InvalidCredentials)
        assert hashed == len(running.engine.operations)
        assert 1 <= hashed < 300


async def test_actor_peek_is_what_an_answer_would_be(database_dsn: str) -> None:
    """Without a request it identifies a token's owner, until the session ends or time runs out."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        peek = running.authx.peek
        assert peek(tokens.access_token) is None
        identity = await running.authorize(tokens)
        assert peek(tokens.access_token) == identity
        with pytest.raises(InvalidToken):
            peek(tokens.access_token[:-1])
        await running.ask(EndSessions(account.account_id))
        assert peek(tokens.access_token) is None
        with pytest.raises(InvalidToken):
            await running.authorize(tokens)
        again = await running.login(account.username)
        await running.authorize(again)
        running.clock.advance(2 * 86_400)
        with pytest.raises(InvalidToken):
            peek(again.access_token)
    assert running.authx.peek(again.access_token) is None


async def test_actor_answers_what_was_waiting_when_the_shutdown_came(database_dsn: str) -> None:
    """Messages in the buffer and requests in progress are answered before the actor returns."""
    results: list[object] = []
    async with running_authx(database_dsn) as running:
        account, tokens = await running.newcomer()

        async def ask(message: Any) -> None:
            results.append(type(await running.ask(message)).__name__)

        async with trio.open_nursery() as nursery:
            for message in (
                Login(account.username, PASSWORD),
                Authorize(tokens.access_token),
                GetAccount(account.account_id),
                Refresh(tokens.refresh_token),
            ):
                nursery.start_soon(ask, message)
            await trio.testing.wait_all_tasks_blocked(0)
            end(running.bus)
    assert sorted(map(str, results)) == ["Account", "Identity", "Tokens", "Tokens"]


async def test_actor_works_on_until_its_own_phase_of_the_shutdown(database_dsn: str) -> None:
    """While requests in flight are finished elsewhere, their tokens are still checked."""
    async with running_authx(database_dsn) as running:
        _, tokens = await running.newcomer()
        for phase in (Phase.EDGE, Phase.WORLD):
            end(running.bus, phase)
            await running.authorize(tokens)


async def test_actor_ends_in_time_although_the_database_is_frozen(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Requests in progress get ``shutdown_ms`` and are then given up; their callers learn so."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    database.frozen = True
    settings = replace(CHEAP, shutdown_ms=1000, query_timeout_ms=3000)
    refused: list[type[Exception]] = []

    async def ask() -> None:
        try:
            await bus.ask(Topic.AUTH, GetAccount("ada"), timeout_s=60)
        except (ActorStopped, DatabaseError) as error:
            refused.append(type(error))

    async with trio.open_nursery() as nursery:
        await nursery.start(authx_on(database, bus, settings).run)
        nursery.start_soon(ask)
        await trio.sleep(0.5)
        end(bus)
    assert trio.current_time() == pytest.approx(1.5)
    assert refused == [ActorStopped]
    assert database.open == []


async def test_actor_keeps_house_now_and_then(autojump_clock: trio.testing.MockClock) -> None:
    """Expired sessions are looked for at the interval, even after the database was away."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    settings = replace(CHEAP, housekeeping_seconds=60, listen_probe_ms=1_000_000)
    async with trio.open_nursery() as nursery:
        await nursery.start(authx_on(database, bus, settings).run)
        await trio.sleep(59)
        assert database.ran == []
        await trio.sleep(2)
        assert len(database.ran) == 1
        database.losses = 2
        await trio.sleep(60)
        assert len(database.ran) == 1
        await trio.sleep(60)
        assert len(database.ran) == 2
        end(bus)


async def test_actor_keeps_house_until_nothing_is_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However many sessions expire in a minute, they do not pile up."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    settings = replace(CHEAP, housekeeping_seconds=60, listen_probe_ms=1_000_000)
    full = settings.housekeeping_batch
    database.answers.extend([full, full, full - 1])
    async with trio.open_nursery() as nursery:
        await nursery.start(authx_on(database, bus, settings).run)
        await trio.sleep(65)
        assert len(database.ran) == 3
        await trio.sleep(50)
        assert len(database.ran) == 3
        await trio.sleep(10)
        assert len(database.ran) == 4
        end(bus)


async def test_actor_without_a_database_is_ready_and_says_what_is_wrong() -> None:
    """Callers that need the database are told at once; bad tokens are still bad tokens."""
    dsn = "postgresql://postgres@127.0.0.1:1/nowhere"
    bus = open_broadcast_channel()
    async with (
        open_database(dsn, log=quiet_log(), connect_timeout_s=2) as database,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(authx_on(database, bus).run)
        for message in (
            GetAccount("01890a5d-ac96-774b-bcce-b302099a8057"),
            Login("ada", PASSWORD),
            Register("ada", PASSWORD),
        ):
            with pytest.raises(DatabaseUnavailable):
                await bus.ask(Topic.AUTH, message, timeout_s=5)
        with pytest.raises(InvalidToken):
            await bus.ask(Topic.AUTH, Authorize("nonsense"), timeout_s=5)
        end(bus)


async def test_actor_outlives_the_loss_of_its_connections(database_dsn: str) -> None:
    """Connections that the server ended are replaced; only the log shows it."""
    async with running_authx(database_dsn, replace(CHEAP, listen_probe_ms=10)) as running:
        await running.wait_listening()
        account, tokens = await running.newcomer()
        await running.authorize(tokens)

        async def kill(session: Session) -> int:
            return cast("int", await session.fetchval(KILL))

        connection = await running.database.connect(name="test")
        assert await connection.run(kill) >= 2
        await connection.aclose()
        assert await running.ask(GetAccount(account.account_id)) == account
        await running.authorize(tokens)
        await running.ask(Refresh(tokens.refresh_token))

        async def listens_again() -> bool:
            return len(running.events("authx_listening")) == 2

        await running.wait_until(listens_again)
        assert running.events("authx_listener_lost")


async def test_actor_that_crashes_drops_what_it_had_in_hand_and_is_restarted(
    database_dsn: str,
) -> None:
    """An unforeseen error ends the run: callers learn at once, and the next run serves again."""
    bus, clock = open_broadcast_channel(), WallClock()
    settings = replace(CHEAP, attempts_per_user=1)
    subscription = bus.subscribe(Interest(Topic.AUTH), Interest(Topic.SHUTDOWN), buffer=100)
    async with open_database(database_dsn, log=quiet_log()) as database:
        authx = Authx(
            subscription, bus, database, KEYRING, settings, wall_clock=clock, log=quiet_log()
        )
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(
                nursery, RestartLimits(backoff_ms=1), rng=random.Random(1), log=quiet_log()
            )
            await supervisor.start("authx", authx)
            await bus.ask(Topic.AUTH, Register("survivor", PASSWORD), timeout_s=5)
            with pytest.raises(InvalidCredentials):
                await bus.ask(Topic.AUTH, Login("survivor", "wrong"), timeout_s=5)
            stopped: list[ActorStopped] = []

            async def ask(body: object) -> None:
                try:
                    await bus.ask(Topic.AUTH, body, timeout_s=5)
                except ActorStopped as error:
                    stopped.append(error)

            async with trio.open_nursery() as askers:
                askers.start_soon(ask, Register("in.hand", PASSWORD))
                await trio.lowlevel.checkpoint()
                askers.start_soon(ask, "no message of Authx")
            assert len(stopped) >= 1
            # The attempts that were counted still count.
            with pytest.raises(TooManyAttempts):
                await bus.ask(Topic.AUTH, Login("survivor", PASSWORD), timeout_s=5)
            assert supervisor.states()["authx"].restarts == 1
            supervisor.stopping()
            end(bus)


async def test_actor_crash_in_a_request_gives_everyone_in_hand_an_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A request that fails in an unforeseen way ends the run, and no caller waits in vain."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    settings = replace(CHEAP, database_connections=1)
    stopped: list[float] = []

    async def ask(message: Any) -> None:
        with pytest.raises(ActorStopped):
            await bus.ask(Topic.AUTH, message, timeout_s=60)
        stopped.append(trio.current_time())

    async def run_and_fail(askers: trio.Nursery) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(authx_on(database, bus, settings).run)
            await trio.sleep(0.5)
            database.query_s, database.failure = 1.0, RuntimeError("unforeseen")
            askers.start_soon(ask, ListSessions("ada"))
            askers.start_soon(ask, GetAccount("ada"))

    async with trio.open_nursery() as askers:
        with pytest.raises(ExceptionGroup) as failure:
            await run_and_fail(askers)
        assert failure.group_contains(RuntimeError, match="unforeseen")
    assert stopped == [1.5, 1.5]


async def test_actor_takes_many_messages_in_one_turn_of_the_loop(database_dsn: str) -> None:
    """In a busy loop a turn takes long, so a caller waits for few of them."""
    async with running_authx(database_dsn) as running:
        asked = [running.bus.open_reply() for _ in range(200)]
        for reply, _ in asked:
            running.bus.send_nowait(Message(Topic.AUTH, Authorize("nonsense"), None, reply))
        for _ in range(8):
            await trio.lowlevel.checkpoint()
        assert all(reply.settled for reply, _ in asked)


async def test_actor_drains_its_buffer_when_the_shutdown_overtakes_it(database_dsn: str) -> None:
    """The shutdown comes out of the buffer first; messages sent before it are answered too."""
    async with running_authx(database_dsn) as running:
        account, _ = await running.newcomer()
        pending: list[PendingReply[Any]] = []
        for message in (GetAccount(account.account_id), Authorize("nonsense")):
            reply, receiver = running.bus.open_reply()
            pending.append(receiver)
            running.bus.send_nowait(Message(Topic.AUTH, message, None, reply))
        end(running.bus)
        assert await pending[0].wait(5) == account
        with pytest.raises(InvalidToken):
            await pending[1].wait(5)


async def test_actor_that_has_ended_lets_nobody_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A caller after the shutdown learns at once that there will be no answer."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    async with trio.open_nursery() as nursery:
        await nursery.start(authx_on(database, bus).run)
        end(bus)
    began = trio.current_time()
    with pytest.raises(ActorStopped):
        await bus.ask(Topic.AUTH, GetAccount("ada"), timeout_s=20)
    assert trio.current_time() == began


async def test_actor_returns_when_the_bus_is_gone(autojump_clock: trio.testing.MockClock) -> None:
    """If nobody can send any more, there is nothing left to do."""
    database, bus = FakeDatabase(), open_broadcast_channel()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(authx_on(database, bus).run)
            bus.close()


async def test_actor_database_is_left_clean(database_dsn: str) -> None:
    """After the shutdown no connection of Authx is left in the server."""
    async with running_authx(database_dsn) as running:
        await running.wait_listening()
        await running.newcomer()
    left = "select count(*) from pg_stat_activity where application_name like 'holdfast authx%'"

    async def count(session: Session) -> int:
        return cast("int", await session.fetchval(f"{left} and datname = current_database()"))

    with trio.fail_after(5):
        while await run_script(database_dsn, count):
            await trio.lowlevel.checkpoint()
