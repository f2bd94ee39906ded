"""Operators get in when more players log in than can be hashed; impostors are limited."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.authx import operator, operators
from actors.authx.attempts import FAILURES_FEW, AttemptLimit
from actors.authx.errors import InvalidCredentials
from actors.authx.messages import ChangePassword, Login
from actors.authx.operators import Operators
from actors.authx.passwords import OPERATORS_PLACES, Passwords
from actors.database.errors import DatabaseUnavailable
from bus import Overloaded
from tests.actors.authx.harness import PASSWORD, running_authx
from tests.actors.authx.support import CHEAP
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from typing import Any

    from trio.testing import MockClock

    from actors.authx.messages import Account
    from actors.database.driver import Connection
    from tests.actors.authx.harness import Running

CROWDED = replace(CHEAP, hash_workers=1, hash_queue=2)
HOME = "192.0.2.1"
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
async def clean(connection: Connection) -> Connection:
    """Return a connection to a database without accounts."""
    await connection.run(lambda session: session.execute("delete from accounts"))
    return connection


async def make_operator(connection: Connection, name: str, *, one_time: bool = False) -> Account:
    """Create an operator as the command line does beside a running server."""
    return await operator.create_account(
        connection, Passwords(CHEAP), name, PASSWORD, role="admin", one_time=one_time, now=NOW
    )


async def wait_known(running: Running, count: int) -> None:
    """Wait until the server knows this many operators."""

    async def is_so() -> bool:
        read = running.events("operators_read")
        return bool(read) and read[-1]["operators"] == count

    await running.wait_until(is_so)


async def crowd(running: Running, nursery: trio.Nursery) -> None:
    """Have players take every place; they are answered when threads are free again."""

    async def log_in(number: int) -> None:
        with pytest.raises(InvalidCredentials):
            await running.ask(Login(f"nobody{number}", PASSWORD))

    for number in range(CROWDED.hash_workers + CROWDED.hash_queue):
        nursery.start_soon(log_in, number)
    while running.passwords.slots_free:
        await trio.lowlevel.checkpoint()


async def outcome(running: Running, outcomes: list[object], message: Any) -> None:
    """Record the answer to a message."""
    try:
        await running.ask(message)
    except (InvalidCredentials, Overloaded) as refusal:
        outcomes.append(type(refusal))
    else:
        outcomes.append(None)


async def test_operator_gets_in_where_every_place_is_taken(
    clean: Connection, database_dsn: str
) -> None:
    """This holds even with a one-time password, to be changed; a player is turned away."""
    async with running_authx(database_dsn, CROWDED) as running:
        await running.register("ann")
        await make_operator(clean, "Root", one_time=True)
        # Another: a login that is under way when its own password changes is refused.
        other = await make_operator(clean, "Other", one_time=True)
        await wait_known(running, 2)
        tokens = await running.ask(Login("OTHER", PASSWORD, HOME))
        outcomes: list[object] = []
        async with trio.open_nursery() as nursery:
            with running.every_turn_taken():
                await crowd(running, nursery)
                for message in (
                    Login("ROOT", PASSWORD, HOME),
                    ChangePassword(other.account_id, tokens.session_id, PASSWORD, "new password"),
                ):
                    nursery.start_soon(outcome, running, outcomes, message)
                    await wait_all_tasks_blocked(0.01)
                assert outcomes == []
                with pytest.raises(Overloaded):
                    await running.ask(Login("ann", PASSWORD, "192.0.2.77"))
        assert outcomes == [None, None]


async def test_operators_name_gets_a_crowd_four_places_and_the_operator_one_of_the_others(
    clean: Connection, database_dsn: str
) -> None:
    """Impostors cannot take everybody's places; meanwhile the operator waits like everybody."""
    async with running_authx(database_dsn, CROWDED) as running:
        await make_operator(clean, "root")
        await wait_known(running, 1)
        outcomes: list[object] = []
        async with trio.open_nursery() as nursery:
            with running.every_turn_taken():
                for number in range(OPERATORS_PLACES):
                    guess = Login("root", "wrong horse", f"198.51.100.{number}")
                    nursery.start_soon(outcome, running, outcomes, guess)
                    await wait_all_tasks_blocked(0.01)
                assert running.passwords.slots_free == 3
                nursery.start_soon(outcome, running, outcomes, Login("root", PASSWORD, HOME))
                await wait_all_tasks_blocked(0.01)
                assert running.passwords.slots_free == 2
        assert sorted(map(str, outcomes)) == sorted(
            map(str, [InvalidCredentials] * OPERATORS_PLACES + [None])
        )


async def test_operators_are_told_by_no_more_than_a_few_tries_from_one_address(
    clean: Connection, database_dsn: str
) -> None:
    """An attacker who tries names during a crowd learns of three operators and no more."""
    async with running_authx(database_dsn, CROWDED) as running:
        names = [f"root{number}" for number in range(FAILURES_FEW + 2)]
        for name in names:
            await make_operator(clean, name)
        await wait_known(running, len(names))
        outcomes: list[object] = []
        for name in names:
            async with trio.open_nursery() as nursery:
                with running.every_turn_taken():
                    await crowd(running, nursery)
                    message = Login(name, "wrong horse", "198.51.100.7")
                    nursery.start_soon(outcome, running, outcomes, message)
                    await wait_all_tasks_blocked(0.01)
        assert outcomes == [InvalidCredentials] * FAILURES_FEW + [Overloaded] * 2


async def test_operators_are_known_as_they_change(clean: Connection, database_dsn: str) -> None:
    """Another process creates, suspends, reinstates, demotes and promotes: each is noticed."""
    async with running_authx(database_dsn) as running:
        await make_operator(clean, "root")
        await wait_known(running, 1)
        for suspended in (True, False):
            await operator.set_suspended(clean, "root", suspended=suspended, now=NOW)
            await wait_known(running, 0 if suspended else 1)
        await operator.set_role(clean, "root", "player", now=NOW)
        await wait_known(running, 0)
        await operator.set_role(clean, "root", "admin", now=NOW)
        await wait_known(running, 1)


async def test_operators_that_could_not_be_read_are_read_later(autojump_clock: MockClock) -> None:
    """The old list is kept until the database answers; no second announcement is needed."""
    answers: list[list[tuple[str, str]] | None] = [[("1", "root")], None, None, [("2", "ann")]]

    class Played:
        async def run(self, _script: object) -> list[tuple[str, str]]:
            await trio.lowlevel.checkpoint()
            answer = answers.pop(0)
            if answer is None:
                raise DatabaseUnavailable("away")
            return answer

    connections: Any = Played()
    made = Operators(AttemptLimit(CHEAP), log=quiet_log())

    def known() -> list[str]:
        names = ("root", "no such name!", "ann")
        return [name for name in names if made.may_go_first(Login(name, "x", HOME))]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run, connections)
        await wait_all_tasks_blocked()
        assert known() == []
        made.look_again()
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert known() == ["root"]
        made.look_again()
        await trio.sleep(operators.RETRY_S)
        assert known() == ["root"]
        await trio.sleep(2 * operators.RETRY_S)
        assert known() == ["ann"]
        assert answers == []
        nursery.cancel_scope.cancel()
