"""Logins and registrations that came to no verdict: nobody has failed."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import trio

from actors.authx.actor import Authx
from actors.authx.messages import Login, Register
from actors.database.driver import open_database
from actors.shutdown import Phase, Shutdown
from actors.supervisor import RestartLimits, Supervisor
from bus import ActorStopped, Interest, Message, Overloaded, Topic, open_broadcast_channel
from tests.actors.authx.harness import KEYRING, PASSWORD, running_authx
from tests.actors.authx.support import CHEAP, WallClock, counting_passwords
from tests.postgres import quiet_log

ADDRESS = "203.0.113.7"
LATE = replace(
    CHEAP, hash_wait_ms=1, attempts_per_user=2, attempts_per_address=2, registrations_per_address=2
)

EACH = pytest.mark.parametrize(
    "message",
    [
        Login("somebody", PASSWORD, ADDRESS),
        Login("no such name, is there", PASSWORD, ADDRESS),
        Register("somebody", PASSWORD, ADDRESS),
    ],
    ids=["login", "hopeless name", "registration"],
)


@EACH
async def test_who_was_turned_away_for_want_of_time_has_not_failed(
    database_dsn: str, message: Login | Register
) -> None:
    """However often a user retries, as a 503 says, the wait does not grow."""
    async with running_authx(database_dsn, LATE) as running:
        with running.every_turn_taken():
            for _ in range(5):
                with pytest.raises(Overloaded):
                    await running.ask(message)
        assert not running.engine.operations
        logins = running.authx.logins()
        assert (logins.overloaded, logins.throttled) == (5 * isinstance(message, Login), 0)


@EACH
async def test_who_was_in_hand_when_authx_failed_has_not_failed(
    database_dsn: str, message: Login | Register
) -> None:
    """Attempts survive a restart of the actor, but not those that the failure cut short."""
    bus, log = open_broadcast_channel(), quiet_log()
    subscription = bus.subscribe(Interest(Topic.AUTH), Interest(Topic.SHUTDOWN), buffer=10)
    settings = replace(LATE, hash_wait_ms=10_000)
    passwords, _ = counting_passwords(settings)
    async with open_database(database_dsn, log=log) as database, trio.open_nursery() as nursery:
        authx = Authx(
            subscription,
            bus,
            database,
            KEYRING,
            settings,
            wall_clock=WallClock(),
            log=log,
            passwords=passwords,
        )
        supervisor = Supervisor(nursery, RestartLimits(backoff_ms=1), rng=random.Random(1), log=log)
        await supervisor.start("authx", authx)
        for _ in range(passwords.turns.free):
            passwords.turns.begin_nowait()

        async def ask(body: object) -> None:
            with pytest.raises(ActorStopped):
                await bus.ask(Topic.AUTH, body, timeout_s=5)

        for _ in range(3):
            async with trio.open_nursery() as askers:
                askers.start_soon(ask, message)
                with trio.fail_after(5):
                    while not passwords.turns._others:
                        await trio.lowlevel.checkpoint()
                askers.start_soon(ask, "no message of Authx")
        supervisor.stopping()
        bus.send_nowait(Message(Topic.SHUTDOWN, Shutdown(Phase.STORAGE, "test")))
