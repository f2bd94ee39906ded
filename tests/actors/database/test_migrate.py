"""Migrations: forward, once, by one server at a time, and never over a newer schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database.driver import open_database
from actors.database.errors import (
    CheckViolation,
    SchemaElsewhere,
    SchemaMismatch,
    SchemaTooNew,
    SchemaTooOld,
    StatementError,
    UniqueViolation,
)
from actors.database.migrate import (
    Migration,
    check_current,
    check_known,
    migrate,
    seen_versions,
    shipped_migrations,
)
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from actors.database.session import Session
    from tests.postgres import PostgresServer

FIRST = Migration(1, "first", "create table firsts (id bigint); create table others (id bigint)")
SECOND = Migration(2, "second", "alter table firsts add column name text")
BROKEN = Migration(3, "broken", "create table thirds (id bigint); select no_such_function()")

CHECKSUMS = (
    "3c39fa1e66a3703601536947c25b950ffd0446e371a114eba9bb415aa2503f07",
    "71a521a016a70f6890f32aaff3077b6dc1d5011732a02a4a324591d2d1e06a68",
    "170ed1ea75209dd8f15f763b4392c5f8c9ca4ca8341f70f0eb388bbae7332786",
    "44f8612b283ac3468a280eef0710f5fc12febcbafe0914e175f80ee526d8ea56",
    "39a28434c7f09a72b07c3a407eb9736df4ae0fa342764978636d6a375b8ccf9b",
    "fb66524b12c1985e8ce9bc35209d3ba976aa0f389a58684a77aaeba763ada455",
    "1910084fabf2d2709bbbccb836a89f99d73aa6654ba8d811c922000854751147",
    "7fc06e7ba6e243b0fdb4d1fb3227365460f77304c33647026842edf095956622",
    "e7707ccdf25f5d589210f54e31140c39d9a131ad4336f7f95b84037bf57fbffc",
    "9268628fd07d2f80ee627875c0d534f9c16fce7d6c2d9d59432d7c3da7f4a2cc",
    "a7811a8acb858abecb869ad5658bf2ffa66632d38a4d0a0e3870b41b8e08e362",
)
"""The shipped migrations, in order."""

ADDED = 9_000
"""Migrations that somebody adds to the program's own are numbered from above this."""

ACCOUNT = "019a5c00-0000-7000-8000-00000000000a"
OTHER = "019a5c00-0000-7000-8000-00000000000b"


async def apply(dsn: str, migrations: Sequence[Migration] | None = None) -> tuple[int, ...]:
    """Migrate a database on a connection of its own."""
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="migrate")
        return await migrate(connection, migrations=migrations)


async def test_migrate_gives_a_large_world_its_time(empty_dsn: str, mock_clock: MockClock) -> None:
    """Rewriting millions of rows takes minutes, and a migration that is cut off starts over."""
    long = Migration(1, "long", "select pg_sleep(0.5)")
    async with open_database(empty_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="migrate")
        mock_clock.rate = 400.0
        began = trio.current_time()
        assert await migrate(connection, migrations=[long]) == (1,)
        assert trio.current_time() - began > 120
        mock_clock.rate = 0


def test_shipped_migrations_are_numbered_without_a_gap() -> None:
    """They count from 1, those of an extension from 9001; each has its own text."""
    migrations = shipped_migrations()
    versions = [migration.version for migration in migrations]
    own = sum(version <= ADDED for version in versions)
    assert versions[:own] == [*range(1, own + 1)]
    assert versions[own:] == [*range(ADDED + 1, ADDED + 1 + len(versions) - own)]
    assert len({migration.checksum for migration in migrations}) == len(migrations)


def test_shipped_migrations_stay_as_they_are() -> None:
    """A database that has applied one is refused by a program whose text of it differs."""
    for migration, checksum in zip(shipped_migrations(), CHECKSUMS, strict=False):
        assert migration.checksum == checksum, (
            f"migration {migration.version:04} was edited: no world that has had it would start any"
            " more. Take that back, and write a new migration that changes what it has made."
        )
    assert len(shipped_migrations()) == len(CHECKSUMS), "write the checksum of a new one down here"


def test_shipped_migrations_are_the_files_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only files named like migrations count, in numeric order."""
    (tmp_path / "migrations").mkdir()
    for name in ("0002_b.sql", "0001_a.sql", "README.md", "1_c.sql"):
        (tmp_path / "migrations" / name).write_text(name)

    def files(_package: str) -> Path:
        return tmp_path

    monkeypatch.setattr(resources, "files", files)
    assert shipped_migrations() == (
        Migration(1, "a", "0001_a.sql"),
        Migration(2, "b", "0002_b.sql"),
    )


async def test_migrate_applies_what_is_missing(empty_dsn: str) -> None:
    """Each migration is applied once, in order, and recorded; a second call does nothing."""
    assert await apply(empty_dsn, [FIRST]) == (1,)
    assert await apply(empty_dsn, [FIRST, SECOND]) == (2,)
    assert await apply(empty_dsn, [FIRST, SECOND]) == ()
    rows = await run_script(
        empty_dsn, lambda s: s.fetch("select version, name, checksum from schema_migrations")
    )
    assert [tuple(row.values()) for row in rows] == [
        (each.version, each.name, each.checksum) for each in (FIRST, SECOND)
    ]


async def test_migrate_failure_leaves_the_last_good_version(empty_dsn: str) -> None:
    """A migration that fails is undone completely; those before it stay."""
    with pytest.raises(StatementError, match="no_such_function"):
        await apply(empty_dsn, [FIRST, SECOND, BROKEN])
    assert await run_script(empty_dsn, lambda s: s.fetchval("select to_regclass('thirds')")) is None
    assert await apply(empty_dsn, [FIRST, SECOND]) == ()


async def test_migrate_refuses_a_newer_schema(empty_dsn: str) -> None:
    """A database from a newer program is refused with both versions, and left untouched."""
    await apply(empty_dsn, [FIRST, SECOND])
    with pytest.raises(SchemaTooNew, match=r"version 2.*up to 1"):
        await apply(empty_dsn, [FIRST])


async def test_migrate_applies_the_program_s_next_after_those_that_were_added(
    empty_dsn: str,
) -> None:
    """Whoever extends the program and takes in its next version has both, with no number twice."""
    added = Migration(ADDED + 1, "alliances", "create table alliances (n int)")
    assert await apply(empty_dsn, [FIRST, added]) == (1, ADDED + 1)
    assert await apply(empty_dsn, [FIRST, SECOND, added]) == (2,)
    with pytest.raises(SchemaTooNew, match="has migration 0002, which"):
        await apply(empty_dsn, [FIRST, added])


async def test_check_names_what_is_missing_where_the_highest_number_is_there(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside added migrations, the highest number does not show that a program is newer."""
    added = Migration(ADDED + 1, "alliances", "create table alliances (n int)")
    await apply(empty_dsn, [FIRST, added])
    monkeypatch.setattr(
        "actors.database.migrate.shipped_migrations", lambda: (FIRST, SECOND, added)
    )
    async with open_database(empty_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="check")
        with pytest.raises(SchemaTooOld, match="lacks migration 0002 of this program"):
            await connection.run(check_current)


async def test_migrate_refuses_another_text(empty_dsn: str) -> None:
    """A migration that was changed after the database applied it is refused."""
    await apply(empty_dsn, [FIRST])
    changed = Migration(1, "first", FIRST.sql + " -- changed")
    with pytest.raises(SchemaMismatch, match=r"migration 0001 .*: run the version that wrote it"):
        await apply(empty_dsn, [changed, SECOND])


@pytest.mark.parametrize(
    ("version", "checksum"),
    [
        (6, "b267306227918c1a3530e45923d64983828282a28ff823e29d4cc972b512a846"),
        (9, "5e4d76dc81e0500e337d6133d00526a4ea6acd324221cb8d092ed5dda043eef0"),
    ],
)
async def test_migrate_takes_another_text_with_the_same_result(
    dsn: str, version: int, checksum: str
) -> None:
    """Other wording, or a function that the next migration replaces, makes no other database."""
    sql = "update schema_migrations set checksum = $2 where version = $1"
    await run_script(dsn, lambda session: session.execute(sql, version, checksum))
    assert await apply(dsn) == ()
    await run_script(dsn, check_current)
    with pytest.raises(SchemaMismatch):
        check_known({version: checksum[::-1]}, whose="the database")
    check_known({version: checksum}, whose="the backup")


async def test_migrate_by_two_servers_at_once(empty_dsn: str) -> None:
    """If two servers start at once, each migration is applied by exactly one."""
    applied: list[int] = []

    async def start() -> None:
        applied.extend(await apply(empty_dsn, [FIRST, SECOND]))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(start)
    assert sorted(applied) == [1, 2]


# --- the schema ------------------------------------------------------------------------------


async def _insert_account(session: Session, account_id: str, username: str) -> None:
    await session.execute(
        "insert into accounts (account_id, username, username_key, password_hash, created_at)"
        " values ($1, $2, $2, 'hash', now())",
        account_id,
        username,
    )


_ROWS = {
    "sessions": "insert into sessions (session_id, account_id, refresh_hash, created_at,"
    " refreshed_at, expires_at) values (gen_random_uuid(), $1, '', now(), now(), now())",
    "inventories": "insert into inventories (account_id, version, ruleset, at_ms, ledger_seq,"
    " state) values ($1, 1, 'r', 0, 0, '{}')",
    "orders": "insert into orders (order_id, account_id, seq, asset, kind, queue, level, cost,"
    " refund, duration_ms, state, placed_ms, version) values (gen_random_uuid(), $1, 1, 'mine',"
    " 'building', 'q', 1, '{}', '[1, 1]', 0, 'queued', 0, 1)",
    "ledger": "insert into ledger (account_id, seq, at_ms, cause, changes)"
    " values ($1, 1, 0, 'start', '{}')",
    "idempotency": "insert into idempotency (account_id, key, fingerprint, response, at_ms)"
    " values ($1, 'key', '', '{}', 0)",
}
"""One row of an account in every table that references an account."""


async def test_schema_erases_everything_of_an_account(database_dsn: str) -> None:
    """Deleting an account leaves no row of it in any table, and its neighbour untouched."""

    async def script(session: Session) -> dict[str, tuple[int, int]]:
        tables = await session.fetch(
            "select table_name from information_schema.columns"
            " where column_name = 'account_id' and table_schema = 'public'"
        )
        names = {str(row["table_name"]) for row in tables} - {"accounts"}
        assert names == _ROWS.keys()
        for account_id, username in ((ACCOUNT, "erased"), (OTHER, "kept")):
            await _insert_account(session, account_id, username)
            for sql in _ROWS.values():
                await session.execute(sql, account_id)
        await session.execute("delete from accounts where account_id = $1", ACCOUNT)
        counts: dict[str, tuple[int, int]] = {}
        for name in names:
            count = f"select count(*) from {name} where account_id = $1"  # noqa: S608 - own names
            counts[name] = (
                await session.fetchval(count, ACCOUNT),
                await session.fetchval(count, OTHER),
            )
        return counts

    counts = await run_script(database_dsn, script)
    assert set(counts.values()) == {(0, 1)}


async def test_schema_looks_for_nothing_of_an_account_that_is_settled(
    postgres: PostgresServer,
) -> None:
    """Rows that an erasure reports as deleted are left to it, for that account only."""
    tables = ("orders", "ledger", "idempotency")

    async def script(session: Session) -> list[list[str]]:
        for account_id in (ACCOUNT, OTHER):
            await _insert_account(session, account_id, account_id)
            for table in tables:
                await session.execute(_ROWS[table], account_id)
        async with session.transaction():
            await session.execute("select set_config('holdfast.settled', $1, true)", ACCOUNT)
            await session.execute("delete from accounts")
        return [
            [
                str(row["account_id"])
                for row in await session.fetch(f"select account_id from {table}")  # noqa: S608
            ]
            for table in tables
        ]

    left = await run_script(await postgres.create_database_async(), script)
    assert left == [[ACCOUNT]] * 3


_TRANSFER_ROW = (
    "insert into transfers (transfer_id, sender, receiver, sender_name, receiver_name, resources,"
    " note, state, sent_ms, version)"
    " values (gen_random_uuid(), $1, $2, 'sender', 'receiver', '{}', 'note', $3, 0, 1)"
)
_ROWS_READ = """
select sum(seq_tup_read + idx_tup_fetch)::bigint from pg_stat_xact_user_tables
where relname in ('orders', 'ledger', 'idempotency', 'transfers')
"""


async def test_schema_erases_an_account_without_reading_the_world(
    postgres: PostgresServer,
) -> None:
    """Transfers between other accounts do not matter: they are not read."""

    async def script(session: Session) -> int:
        third = "019a5c00-0000-7000-8000-0000000000e1"
        for account_id in (ACCOUNT, OTHER, third):
            await _insert_account(session, account_id, account_id)
            await session.execute(_TRANSFER_ROW, ACCOUNT, account_id, "delivered")
        for _ in range(200):
            await session.execute(_TRANSFER_ROW, OTHER, third, "delivered")
        async with session.transaction():
            await session.execute("delete from accounts where account_id = $1", ACCOUNT)
            return int(await session.fetchval(_ROWS_READ))

    assert 3 <= await run_script(await postgres.create_database_async(), script) <= 30


async def test_schema_erases_transfers_when_nobody_is_left_to_know_of_them(
    postgres: PostgresServer,
) -> None:
    """Until then the other side keeps its record; a transfer in flight goes once it is lost."""

    async def left(session: Session) -> list[tuple[str, ...]]:
        rows = await session.fetch(
            "select state, sender_name, receiver_name, note from transfers order by 1, 2"
        )
        return [tuple(row.values()) for row in rows]

    async def script(session: Session) -> list[list[tuple[str, ...]]]:
        third = "019a5c00-0000-7000-8000-0000000000e1"
        for account_id in (ACCOUNT, OTHER, third):
            await _insert_account(session, account_id, account_id)
        for sender, receiver, state in (
            (ACCOUNT, OTHER, "delivered"),
            (OTHER, ACCOUNT, "sent"),
            (third, third, "returned"),
        ):
            await session.execute(_TRANSFER_ROW, sender, receiver, state)
        seen: list[list[tuple[str, ...]]] = []
        for account_id in (ACCOUNT, OTHER, third):
            await session.execute("delete from accounts where account_id = $1", account_id)
            seen.append(await left(session))
            if account_id == OTHER:
                await session.execute("update transfers set state = 'lost' where state = 'sent'")
        return seen

    theirs = ("returned", "sender", "receiver", "note")
    assert await run_script(await postgres.create_database_async(), script) == [
        [("delivered", "", "receiver", ""), theirs, ("sent", "sender", "", "")],
        [theirs, ("sent", "", "", "")],
        [],
    ]


async def test_schema_usernames_are_unique_by_key(database_dsn: str) -> None:
    """Two accounts cannot have the same name in its compared form."""

    async def script(session: Session) -> None:
        first, second = (
            "019a5c00-0000-7000-8000-0000000000c1",
            "019a5c00-0000-7000-8000-0000000000c2",
        )
        await _insert_account(session, first, "same")
        await _insert_account(session, second, "same")

    with pytest.raises(UniqueViolation) as caught:
        await run_script(database_dsn, script)
    assert caught.value.constraint == "accounts_username_key"


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        ("update accounts set role = 'god'", "accounts_role"),
        ("update orders set state = 'lost'", "orders_state"),
        ("update orders set count = 0", "orders_count"),
        ("update orders set level = -1", "orders_level"),
        ("update ledger set seq = 0", "ledger_seq"),
    ],
)
async def test_schema_refuses_impossible_values(
    database_dsn: str, sql: str, constraint: str
) -> None:
    """The database rejects what the rules never produce."""

    async def script(session: Session) -> None:
        async with session.transaction():
            account_id = "019a5c00-0000-7000-8000-0000000000d1"
            await _insert_account(session, account_id, "checked")
            for insert in _ROWS.values():
                await session.execute(insert, account_id)
            await session.execute(sql)

    with pytest.raises(CheckViolation) as caught:
        await run_script(database_dsn, script)
    assert caught.value.constraint == constraint


_DUE = "select * from inventories where next_due_ms <= 5 order by next_due_ms"
_PENDING = (
    "select * from orders where account_id = gen_random_uuid() and state in ('queued', 'running')"
)


_SOMEBODY = "'0197f0a0-0000-7000-8000-000000000001'"
_SENT, _RECEIVED = (
    f"select * from transfers where {side} = {_SOMEBODY} and transfer_id <= {_SOMEBODY}"  # noqa: S608
    " order by transfer_id desc limit 101"
    for side in ("sender", "receiver")
)
_SENT_TODAY = f"select * from transfers where sender = {_SOMEBODY} and sent_ms > 5"  # noqa: S608
_TRANSFER = f"select * from transfers where transfer_id = any(array[{_SOMEBODY}]::uuid[])"  # noqa: S608


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (_DUE, "inventories_due"),
        (_PENDING, "orders_pending"),
        (_SENT, "transfers_sender"),
        (_RECEIVED, "transfers_receiver"),
        (_SENT_TODAY, "transfers_sent"),
        (_TRANSFER, "transfers_pkey"),
    ],
)
async def test_schema_hot_queries_use_their_index(database_dsn: str, sql: str, index: str) -> None:
    """Due, pending, sent and received rows are found by index, not by reading the whole table."""

    async def script(session: Session) -> str:
        async with session.transaction():
            await session.execute("set local enable_seqscan = off")
            plan = await session.fetch("explain " + sql)
        return "\n".join(row[0] for row in plan)

    assert index in await run_script(database_dsn, script)


async def test_schema_2_asks_no_account_for_another_password(empty_dsn: str) -> None:
    """Accounts of a schema 1 database keep their passwords, and need not change them."""
    first, second, *_ = shipped_migrations()
    await apply(empty_dsn, [first])

    async def register(session: Session) -> None:
        await _insert_account(session, "0197f0a0-0000-7000-8000-000000000001", "old hand")

    await run_script(empty_dsn, register)
    assert await apply(empty_dsn, [first, second]) == (2,)
    sql = "select must_change_password from accounts"
    assert await run_script(empty_dsn, lambda session: session.fetchval(sql)) is False


async def test_schema_5_gives_operators_keys_of_their_own(empty_dsn: str) -> None:
    """An older grant's key is still known, as an operator's; a player's stays as it is."""
    *before, fifth = shipped_migrations()[:5]
    await apply(empty_dsn, before)
    insert = "insert into idempotency values ($1, $2, '', $3, 0)"

    async def use_keys(session: Session) -> None:
        await session.execute(insert, ACCOUNT, "k", '{"grant": {"id": "g"}}')
        await session.execute(insert, ACCOUNT, "l", '{"order": {"id": "o"}}')

    async def keys(session: Session) -> list[str]:
        return [row["key"] for row in await session.fetch("select key from idempotency order by 1")]

    await run_script(empty_dsn, use_keys)
    assert await apply(empty_dsn, [*before, fifth]) == (5,)
    assert await run_script(empty_dsn, keys) == ["l", "operator k"]


async def test_schema_8_takes_names_out_of_the_answers_that_are_kept(empty_dsn: str) -> None:
    """An erased account is no longer in any answer to a transfer; the rest of the answer stays."""
    *before, eighth = shipped_migrations()[:8]
    await apply(empty_dsn, before)
    transfer = {"id": "t", "resources": {"wood": 5}, "settled_at_ms": None}
    named = {"sender_name": "ann", "receiver_name": "ben", "note": "for ben"}
    insert = "insert into idempotency values ($1, $2, '', $3, 0)"

    async def use_keys(session: Session) -> None:
        await session.execute(insert, ACCOUNT, "k", json.dumps({"transfer": transfer | named}))
        await session.execute(insert, ACCOUNT, "l", '{"order": {"note": "o"}}')

    async def answers(session: Session) -> list[object]:
        rows = await session.fetch("select response from idempotency order by key")
        return [json.loads(row["response"]) for row in rows]

    await run_script(empty_dsn, use_keys)
    assert await apply(empty_dsn, [*before, eighth]) == (8,)
    bare = transfer | dict.fromkeys(named, "")
    assert await run_script(empty_dsn, answers) == [{"transfer": bare}, {"order": {"note": "o"}}]


async def test_tables_are_in_public_whatever_the_role_prefers(empty_dsn: str) -> None:
    """A schema of the role's own, where it would create tables first, stays empty."""
    await run_script(empty_dsn, lambda s: s.execute("create schema authorization current_role"))
    await apply(empty_dsn)
    count = "select count(*) from pg_tables where schemaname = current_user"
    assert await run_script(empty_dsn, lambda s: s.fetchval(count)) == 0


async def test_world_in_another_schema_is_not_taken_for_none(empty_dsn: str) -> None:
    """If an earlier program made its tables elsewhere, the refusal says how to bring them here."""
    await apply(empty_dsn)
    away = "alter schema public rename to game; create schema public"
    await run_script(empty_dsn, lambda session: session.execute(away))
    with pytest.raises(SchemaElsewhere, match=r"schema 'game'.*alter schema \"game\" rename to"):
        await run_script(empty_dsn, seen_versions)
    back = "drop schema public; alter schema game rename to public"
    await run_script(empty_dsn, lambda session: session.execute(back))
    assert len(await run_script(empty_dsn, seen_versions)) == len(shipped_migrations())


async def test_table_of_another_program_is_no_world(empty_dsn: str) -> None:
    """Other programs also have a table named schema_migrations."""
    sql = "create schema rails; create table rails.schema_migrations (version text)"
    await run_script(empty_dsn, lambda session: session.execute(sql))
    assert await run_script(empty_dsn, seen_versions) == ()
