"""The erasure of a large account: nothing is left of it or, if interrupted, everything is."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio
from uuid_utils import uuid7

from actors.authx import account_store
from actors.authx.account_store import NewAccount
from actors.authx.audit_store import AuditEntry
from actors.authx.erasure import erase_account, erase_in_pieces, erase_settled
from actors.authx.errors import UnknownAccount
from actors.authx.usernames import parse_username
from actors.database.driver import open_database
from actors.database.errors import ForeignKeyViolation
from bus import Overloaded
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from actors.database.driver import Connection
    from actors.database.session import Script, Session

NOW = datetime(2026, 3, 1, tzinfo=UTC)
AUDIT = AuditEntry(str(uuid7()), NOW, "test", "account-erased", "", "{}")
ROWS = 7
PIECE_ROWS = 3

FILL = (
    """
    insert into inventories (account_id, version, ruleset, at_ms, ledger_seq, state)
    values ($1, 1, 'r', 0, $2, '{}')
    """,
    """
    insert into ledger select $1, n, 0, 'start', null, null, '{}'
    from generate_series(1, $2::int) as n
    """,
    """
    insert into idempotency select $1, 'key ' || n, '', '{}', 0
    from generate_series(1, $2::int) as n
    """,
    """
    insert into orders (order_id, account_id, seq, asset, kind, queue, level, cost, refund,
        duration_ms, state, placed_ms, version)
    select gen_random_uuid(), $1, n, 'mine', 'building', 'q', 1, '{}', '[1, 1]', 0,
        case when n % 2 = 0 then 'queued' else 'cancelled' end, 0, 1
    from generate_series(1, $2::int) as n
    """,
    """
    insert into transfers (transfer_id, sender, receiver, sender_name, receiver_name, resources,
        note, state, sent_ms, version)
    select gen_random_uuid(), case when n % 2 = 0 then $1 else other end,
        case when n % 2 = 0 then other else $1 end, 'from', 'to', '{}', 'note',
        case when n % 3 = 0 then 'sent' else 'delivered' end, 0, 1
    from generate_series(1, $2::int) as n,
        lateral (select coalesce(
            (select account_id from accounts where n % 4 < 2 and account_id <> $1 limit 1),
            gen_random_uuid()
        ) as other) as side
    """,
)


async def make_account(connection: Connection, username: str) -> str:
    """Make an account that owns more rows of each kind than fit into two pieces."""
    new = NewAccount(str(uuid7()), parse_username(username), "hash", "player", NOW)
    await connection.run(account_store.insert_account(new))

    async def fill(session: Session) -> None:
        for sql in FILL:
            await session.execute(sql, new.account_id, ROWS)

    await connection.run(fill)
    return new.account_id


async def rows_of(connection: Connection, account_id: str) -> list[int]:
    """Count what an account owns, and the account itself."""

    async def count(session: Session) -> list[int]:
        return [
            await session.fetchval(
                f"select count(*) from {table} where account_id = $1",  # noqa: S608 - own names
                account_id,
            )
            for table in ("ledger", "idempotency", "orders", "accounts")
        ]

    return await connection.run(count)


async def transfers_of(connection: Connection, account_id: str) -> list[int]:
    """Count an account's transfers, those that name it, and those that nobody else has."""

    async def count(session: Session) -> list[int]:
        row = await session.fetchrow(
            """
            select count(*), count(*) filter (where note <> ''
                or case when sender = $1 then sender_name else receiver_name end <> ''),
                count(*) filter (where state <> 'sent' and not exists (
                    select from accounts where account_id <> $1
                    and account_id in (sender, receiver)))
            from transfers where $1 in (sender, receiver)
            """,
            account_id,
        )
        assert row is not None
        return [*row.values()]

    return await connection.run(count)


async def settled_of(session: Session) -> str:
    """Return whose rows the end of the erasure need not look for."""
    return await session.fetchval("select current_setting('holdfast.settled', true)") or ""


class Watched:
    """A connection that does something before each script, counted from 1."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.calls = 0

    async def run(self, script: Script[Any], *, timeout_s: float = 5.0) -> Any:
        """Run a script on the connection."""
        self.calls += 1
        await self.before()
        return await self.connection.run(script, timeout_s=timeout_s)

    async def before(self) -> None:
        """Do nothing."""


async def erase(connection: Any, account_id: str) -> None:
    """Erase in small pieces."""
    await erase_in_pieces(
        connection, account_id, audit=AUDIT, piece_rows=PIECE_ROWS, timeout_s=10.0
    )


async def test_erasure_leaves_nothing_of_the_account_alone(connection: Connection) -> None:
    """Everything it owns goes, whatever its orders' states; its neighbour keeps everything."""
    kept = await make_account(connection, "kept")
    erased = await make_account(connection, "erased")
    [transfers, named, alone] = await transfers_of(connection, erased)
    assert named == transfers > alone > 0
    await erase(connection, erased)
    assert await rows_of(connection, erased) == [0, 0, 0, 0]
    # The other side keeps its record, without the name.
    assert await transfers_of(connection, erased) == [transfers - alone, 0, 0]
    assert await rows_of(connection, kept) == [ROWS, ROWS, ROWS, 1]


async def test_erasure_leaves_little_for_its_end(connection: Connection) -> None:
    """When the account itself is locked and deleted, only rows still being written are left."""
    all_calls = Watched(connection)
    await erase(all_calls, await make_account(connection, "counted-too"))
    account_id = await make_account(connection, "sender")
    left: list[list[int]] = []

    class Looking(Watched):
        async def before(self) -> None:
            if self.calls == all_calls.calls - 1:
                left.append(await rows_of(self.connection, account_id))
                left.append(await transfers_of(self.connection, account_id))

    await erase(Looking(connection), account_id)
    [[ledger, keys, orders, account], [transfers, named, alone]] = left
    assert (ledger, keys, orders, account) == (0, 0, ROWS // 2, 1)
    # Transfers in flight belong to the server.
    assert (named, alone) == (ROWS // 3, 0)
    assert transfers > named


async def test_erasure_takes_what_is_written_meanwhile(
    database_dsn: str, connection: Connection
) -> None:
    """A live server waits for no piece, and what it writes meanwhile goes too."""
    account_id = await make_account(connection, "busy")
    all_calls = Watched(connection)
    await erase(all_calls, await make_account(connection, "idle"))
    settled: list[str] = []
    async with open_database(database_dsn, log=quiet_log()) as database:
        server = await database.connect(name="server")

        class Beside(Watched):
            async def before(self) -> None:
                settled.append(await self.connection.run(settled_of))

                async def write(session: Session) -> None:
                    # From the last call but one on, its inventory, which comes first, is locked.
                    if self.calls >= all_calls.calls:
                        return
                    await session.execute(
                        "update inventories set version = version + 1 where account_id = $1",
                        account_id,
                    )
                    number = ROWS + self.calls
                    await session.execute(
                        "insert into ledger values ($1, $2, 0, 'start', null, null, '{}')",
                        account_id,
                        number,
                    )
                    await session.execute(
                        "insert into idempotency values ($1, $2, '', '{}', 0)",
                        account_id,
                        f"a{number}",
                    )
                    await session.execute(
                        "update orders set state = 'cancelled'"
                        " where account_id = $1 and state = 'queued'",
                        account_id,
                    )

                await server.run(write, timeout_s=5.0)

        beside = Beside(connection)
        await erase(beside, account_id)
        assert beside.calls > 3 * ROWS // PIECE_ROWS
        assert await rows_of(connection, account_id) == [0, 0, 0, 0]
        # Late rows are looked for with the account locked.
        assert {*settled} == {""}


async def test_erasure_beside_which_nothing_is_written_looks_for_nothing(
    connection: Connection,
) -> None:
    """With the account locked, rows it has already deleted are not read once more."""
    account_id = await make_account(connection, "quiet")
    settled: list[str] = []

    class Looking(Watched):
        async def before(self) -> None:
            settled.append(await self.connection.run(settled_of))

    await erase(Looking(connection), account_id)
    assert settled == [""] * (len(settled) - 1) + [account_id]
    assert await connection.run(settled_of) == ""
    assert await rows_of(connection, account_id) == [0, 0, 0, 0]


async def test_erasure_lets_no_inventory_begin_at_its_end(
    database_dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without an inventory left nothing to look for, so none may appear then."""
    new = NewAccount(str(uuid7()), parse_username("beginner"), "hash", "player", NOW)
    await connection.run(account_store.insert_account(new))
    erase_known = account_store.erase_known

    async def begin_meanwhile(*arguments: Any, **named: Any) -> Any:
        nursery.start_soon(begin)
        with trio.fail_after(10):
            while not begun.is_set() and not await looking.run(waits):  # noqa: ASYNC110 - a lock
                await trio.sleep(0.01)
        return await erase_known(*arguments, **named)

    async def begin() -> None:
        with suppress(ForeignKeyViolation):
            await server.run(fill)
        begun.set()

    async def fill(session: Session) -> None:
        async with session.transaction():
            for sql in FILL[:2]:
                await session.execute(sql, new.account_id, ROWS)

    async def waits(session: Session) -> bool:
        sql = "select exists (select from pg_locks where not granted)"
        return bool(await session.fetchval(sql))

    monkeypatch.setattr(account_store, "erase_known", begin_meanwhile)
    begun = trio.Event()
    async with open_database(database_dsn, log=quiet_log()) as database:
        server, looking = [await database.connect(name=name) for name in ("server", "looking")]
        async with trio.open_nursery() as nursery:
            await erase(connection, new.account_id)
            await begun.wait()
    assert await rows_of(connection, new.account_id) == [0, 0, 0, 0]


async def test_erasure_waits_for_another(database_dsn: str, connection: Connection) -> None:
    """Two with transfers in common do not block each other: the second waits, and says so."""
    first, second = [await make_account(connection, name) for name in ("first", "second")]
    all_calls = Watched(connection)
    await erase(all_calls, await make_account(connection, "counted-first"))
    waits = trio.Event()

    class Slow(Watched):
        async def before(self) -> None:
            if self.calls == 3:
                nursery.start_soon(erase_second)
            if self.calls == all_calls.calls:
                with trio.fail_after(10):
                    await waits.wait()
                assert await rows_of(other, second) == [ROWS, ROWS, ROWS, 1]

    async def erase_second() -> None:
        await erase_in_pieces(other, second, audit=AUDIT, timeout_s=10.0, waiting=waits.set)

    async with open_database(database_dsn, log=quiet_log()) as database:
        other = await database.connect(name="other")
        async with trio.open_nursery() as nursery:
            await erase(Slow(connection), first)
    for account_id in (first, second):
        assert await rows_of(connection, account_id) == [0, 0, 0, 0]


async def test_erasure_by_its_owner_is_refused_beside_another(
    database_dsn: str, connection: Connection
) -> None:
    """It does not wait, and nothing is erased."""
    account_id = await make_account(connection, "impatient")
    other_id = await make_account(connection, "slow")
    script = erase_account(account_id, verified_hash="hash", audit=AUDIT)
    refused: list[str] = []

    class Slow(Watched):
        async def before(self) -> None:
            if self.calls > 2:
                with pytest.raises(Overloaded) as caught:
                    await owner.run(script)
                refused.append(str(caught.value))

    async with open_database(database_dsn, log=quiet_log()) as database:
        owner = await database.connect(name="owner")
        await erase(Slow(connection), other_id)
        assert {*refused} == {"another account is being erased"}
        assert await rows_of(connection, account_id) == [ROWS, ROWS, ROWS, 1]
        await owner.run(script)
        assert await rows_of(connection, account_id) == [0, 0, 0, 0]


async def test_erasure_by_its_owner_locks_the_account_last(
    database_dsn: str, connection: Connection
) -> None:
    """While there is much to delete, a server can write to the account, in either erasure."""
    account_id = await make_account(connection, "owner")
    seen: list[tuple[bool, int, str]] = []

    class Spied:
        """A session that looks around before each statement."""

        def __init__(self, session: Session) -> None:
            self.session = session
            self.transaction = session.transaction

        async def look(self) -> None:
            ledger = await self.session.fetchval(
                "select count(*) from ledger where account_id = $1", account_id
            )
            scans = await self.session.fetchval("show enable_seqscan")
            seen.append((await server.run(may_write), ledger, scans))

        def __getattr__(self, name: str) -> Any:
            async def spied(sql: str, *arguments: object) -> Any:
                await self.look()
                return await getattr(self.session, name)(sql, *arguments)

            return spied

    async def may_write(session: Session) -> bool:
        sql = "select version from inventories where account_id = $1 for update skip locked"
        return await session.fetchval(sql, account_id) is not None

    script: Any = erase_account(account_id, verified_hash="hash", audit=AUDIT)
    async with open_database(database_dsn, log=quiet_log()) as database:
        server = await database.connect(name="server")
        await connection.run(lambda session: script(Spied(session)))
    assert {ledger for free, ledger, _ in seen if free} == {ROWS, 0}
    assert {ledger for free, ledger, _ in seen if not free} == {0}
    # By its keys, whatever size the planner assumes for the tables.
    assert {scans for _, ledger, scans in seen if not ledger} == {"off"}


async def test_erasure_finds_its_pieces_by_their_keys(connection: Connection) -> None:
    """Each would otherwise read the whole table until its rows have been counted."""
    scans: list[str] = []

    class Looking(Watched):
        async def before(self) -> None:
            if self.calls > 3:
                scans.append(await self.connection.run(lambda s: s.fetchval("show enable_seqscan")))

    await erase(Looking(connection), await make_account(connection, "keyed"))
    assert {*scans} == {"off"}


async def test_erasure_changes_what_fits_into_one_piece_by_one_statement(
    connection: Connection,
) -> None:
    """A large account is not erased row by row."""
    changes: list[str] = []

    async def fetch(sql: str, /, *arguments: object) -> Any:
        if sql.split(maxsplit=1)[0] in {"delete", "update"}:
            changes.append(sql)
        return await connection.run(lambda session: session.fetchval(sql, *arguments))

    await erase_settled(fetch, await make_account(connection, "in-one"), piece_rows=ROWS)
    assert len(changes) == len(set(changes)) == 7


async def test_erasure_that_is_cancelled_removes_nothing(connection: Connection) -> None:
    """Wherever it was, the account is whole, and the connection as good as before."""
    account_id = await make_account(connection, "spared")
    all_calls = Watched(connection)
    await erase(all_calls, await make_account(connection, "counted"))
    for call in range(2, all_calls.calls + 1):
        with trio.CancelScope() as scope:

            class Cancelling(Watched):
                async def before(self, last: int = call, scope: trio.CancelScope = scope) -> None:
                    if self.calls == last:
                        scope.cancel()

            await erase(Cancelling(connection), account_id)
        assert scope.cancelled_caught
        assert await rows_of(connection, account_id) == [ROWS, ROWS, ROWS, 1]
    await erase(connection, account_id)


async def test_erasure_of_nobody_is_refused(connection: Connection) -> None:
    """There is nothing to erase, and the connection is as good as before."""
    with pytest.raises(UnknownAccount):
        await erase(connection, str(uuid7()))
    await erase(connection, await make_account(connection, "somebody"))
