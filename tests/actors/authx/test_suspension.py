"""Suspended accounts' inventories are told to freeze, whatever becomes of some of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
import trio
from uuid_utils import uuid7

from actors.authx import account_store, suspension
from actors.authx.account_store import NewAccount
from actors.authx.suspension import Suspensions
from actors.authx.usernames import parse_username
from actors.database.driver import open_database
from actors.inventory.errors import AccountGone, RulesetMismatch
from actors.inventory.messages import Freeze, Thaw
from bus import Interest, Topic, open_broadcast_channel
from tests.actors.authx.support import WallClock
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from actors.authx.connections import Connections
    from actors.database.driver import Connection
    from actors.database.session import Session
    from bus import Subscription

FAILURES = (RulesetMismatch(("scout",)), None, AccountGone())
"""The first inventories' initial answers; None: they fail themselves."""
_INSERT = """
insert into inventories (account_id, version, ruleset, at_ms, ledger_seq, state)
select account_id, 1, 'r', 0, 0, '{}' from accounts
"""
_FROZEN = "select account_id from inventories where frozen_ms is not null order by 1"


@pytest.fixture
async def connection(database_dsn: str) -> AsyncIterator[Connection]:
    """Yield a connection to a database with six accounts, in the order of their ids."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        await connection.run(lambda session: session.execute("delete from accounts"))
        for name in ("ann", "ben", "cid", "dee", "eve", "fay"):
            new = NewAccount(str(uuid7()), parse_username(name), "x", "player", WallClock().now)
            await connection.run(account_store.insert_account(new))
        await connection.run(lambda session: session.execute(_INSERT))
        yield connection
        await connection.aclose()


async def carry_out(connection: Connection, body: object) -> None:
    """Freeze or thaw as the Inventory would."""
    assert isinstance(body, Freeze | Thaw)
    frozen_ms = 1 if isinstance(body, Freeze) else None
    sql = "update inventories set frozen_ms = $1 where account_id = $2"
    await connection.run(lambda session: session.execute(sql, frozen_ms, body.account_id))


async def play(
    inventories: Subscription, connection: Connection, failing: Mapping[str, Exception | None]
) -> None:
    """Play every inventory; some of them fail."""
    async for message in inventories:
        assert message.reply is not None
        key = message.key or ""
        failure = failing.get(key)
        if key not in failing:
            await carry_out(connection, message.body)
            message.reply.send_nowait(None)
        elif failure is None:
            message.reply.close()
        else:
            message.reply.fail(failure)


@asynccontextmanager
async def standing_still(
    connection: Connection, failing: Mapping[str, Exception | None]
) -> AsyncGenerator[Suspensions]:
    """Run it beside inventories that are played."""
    with open_broadcast_channel() as bus:
        inventories = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=100)
        made = Suspensions(cast("Connections", connection), bus, log=quiet_log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play, inventories, connection, failing)
            nursery.start_soon(made.run)
            yield made
            nursery.cancel_scope.cancel()


async def frozen(connection: Connection, count: int) -> list[str]:
    """Wait until this many inventories are frozen; return whose."""

    async def look(session: Session) -> list[str]:
        return [row["account_id"] for row in await session.fetch(_FROZEN)]

    with trio.fail_after(10):
        while len(found := await connection.run(look)) != count:  # noqa: ASYNC110
            await trio.sleep(0.01)
    return found


async def test_failing_inventories_keep_no_other_from_standing_still(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many fail, and before which: all others are told, and the failed ones later."""
    monkeypatch.setattr(suspension, "_PAGE", 2)
    accounts = await connection.run(
        lambda session: session.fetch("select account_id from accounts order by 1")
    )
    ids = [row["account_id"] for row in accounts]
    failing = dict(zip(ids, FAILURES, strict=False))
    async with standing_still(connection, failing) as made:
        await connection.run(lambda s: s.execute("update accounts set suspended_at = now()"))
        made.look_again()
        assert await frozen(connection, 3) == ids[3:]
        failing.clear()
        assert await frozen(connection, 6) == ids
        failing[ids[0]] = FAILURES[0]
        await connection.run(lambda s: s.execute("update accounts set suspended_at = null"))
        made.look_again()
        assert await frozen(connection, 1) == ids[:1]


async def set_suspended(connection: Connection, account_id: str, *, suspended: bool) -> None:
    """Suspend an account, or let it in, as Authx or the command line would."""
    sql = "update accounts set suspended_at = case when $2 then now() end where account_id = $1"
    await connection.run(lambda session: session.execute(sql, account_id, suspended))


async def first_account(connection: Connection) -> str:
    """Return the account that comes first."""
    sql = "select account_id from accounts order by 1 limit 1"
    found: str = await connection.run(lambda session: session.fetchval(sql))
    return found


async def test_account_without_an_inventory_stands_still_from_its_beginning(
    connection: Connection,
) -> None:
    """The message begins its inventory, which must not run while the account is suspended."""
    ann = await first_account(connection)
    await connection.run(lambda session: session.execute("delete from inventories"))
    await set_suspended(connection, ann, suspended=True)
    with open_broadcast_channel() as bus:
        inventories = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=100)
        made = Suspensions(cast("Connections", connection), bus, log=quiet_log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            made.look_again()
            with trio.fail_after(10):
                told = (await inventories.receive()).body
            nursery.cancel_scope.cancel()
    assert isinstance(told, Freeze)
    assert told.account_id == ann


async def test_inventory_that_heeds_late_what_it_was_told_is_told_what_is_so_then(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account suspended and reinstated while commits hung does not stay frozen."""
    monkeypatch.setattr(suspension, "_REPLY_S", 0.05)
    monkeypatch.setattr(suspension, "_RETRY_S", 0.01)
    ann = await first_account(connection)
    with open_broadcast_channel() as bus:
        inventory = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=100)
        made = Suspensions(cast("Connections", connection), bus, log=quiet_log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            await set_suspended(connection, ann, suspended=True)
            made.look_again()
            with trio.fail_after(5):
                waiting = [await inventory.receive()]
                await set_suspended(connection, ann, suspended=False)
                made.look_again()
                while not isinstance(waiting[-1].body, Thaw):
                    waiting.append(await inventory.receive())
            for message in waiting:
                await carry_out(connection, message.body)
                if message.reply is not None:
                    message.reply.send_nowait(None)
            assert await frozen(connection, 0) == []
            nursery.cancel_scope.cancel()


async def test_restart_knows_whom_the_run_before_has_told(connection: Connection) -> None:
    """Unanswered instructions are repeated, whichever run sent them; an erased account's are not.

    Once all have answered, nothing more is sent.
    """
    ann, erased = await first_account(connection), str(uuid7())
    unsure = {ann, erased}
    with open_broadcast_channel() as bus:
        inventory = bus.subscribe(Interest(Topic.TASK, unclaimed=True), buffer=100)
        connections = cast("Connections", connection)
        made = Suspensions(connections, bus, unsure=unsure, log=quiet_log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            made.look_again()
            with trio.fail_after(5):
                message = await inventory.receive()
                assert message.body == Thaw(ann)
                assert message.reply is not None
                message.reply.send_nowait(None)
                while unsure:  # noqa: ASYNC110 - the end of the look is nobody's event
                    await trio.sleep(0.01)
            assert inventory.is_empty()
            nursery.cancel_scope.cancel()
