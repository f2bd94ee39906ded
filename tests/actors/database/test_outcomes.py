"""What became of a transaction whose commit was never answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from actors.database.driver import open_database
from actors.database.errors import ConnectionLost, StatementError
from actors.database.outcomes import TransactionStatus, current_transaction, transaction_status
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from actors.database.session import Session


async def test_transaction_status_of_commit_and_rollback(database_dsn: str) -> None:
    """A committed transaction is told from one that was rolled back, from any connection."""
    committed: list[str] = []
    aborted: list[str] = []

    async def script(session: Session) -> None:
        async with session.transaction():
            committed.append(await current_transaction(session))
        with pytest.raises(StatementError):
            await fail(session)

    async def fail(session: Session) -> None:
        async with session.transaction():
            aborted.append(await current_transaction(session))
            await session.execute("select 1/0")

    async def ask(session: Session) -> list[TransactionStatus]:
        return [await transaction_status(session, xid) for xid in (*committed, *aborted)]

    await run_script(database_dsn, script)
    statuses = await run_script(database_dsn, ask)
    assert statuses == [TransactionStatus.COMMITTED, TransactionStatus.ABORTED]


async def test_transaction_status_after_a_lost_connection(database_dsn: str) -> None:
    """A transaction whose connection is dropped is in progress, and then aborted."""
    xids: list[str] = []
    begun = trio.Event()

    async def script(session: Session) -> None:
        async with session.transaction():
            xids.append(await current_transaction(session))
            begun.set()
            await session.fetchval("select pg_sleep(0.2)")

    async with open_database(database_dsn, log=quiet_log()) as database:
        victim = await database.connect(name="victim")
        witness = await database.connect(name="witness")

        async def lose() -> None:
            with pytest.raises(ConnectionLost):
                await victim.run(script)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            await begun.wait()
            first = await witness.run(lambda s: transaction_status(s, xids[0]))
            victim.terminate()
        status = TransactionStatus.IN_PROGRESS
        with trio.fail_after(5):
            while status is TransactionStatus.IN_PROGRESS:
                status = await witness.run(lambda s: transaction_status(s, xids[0]))
    assert first is TransactionStatus.IN_PROGRESS
    assert status is TransactionStatus.ABORTED


async def test_transaction_status_of_a_forgotten_one(database_dsn: str) -> None:
    """A transaction older than the server's memory is neither committed nor aborted."""
    status = await run_script(database_dsn, lambda s: transaction_status(s, "3"))
    assert status in {TransactionStatus.FORGOTTEN, TransactionStatus.COMMITTED}
