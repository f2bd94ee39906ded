"""Brings a database to the schema of this program: numbered SQL files, forward only.

Each migration is one transaction, which also records it in ``schema_migrations`` with the checksum
of its text and the names of the objects it made. An advisory lock held by each transaction keeps
two servers that start at once from racing: the second finds the work done.

The program's own migrations are numbered from 0001, those of an extension from 9001: the program's
next one never has a number that a world has already used, and is applied after them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from actors.database.errors import (
    DatabaseError,
    SchemaElsewhere,
    SchemaMismatch,
    SchemaTooNew,
    SchemaTooOld,
    StatementError,
)
from actors.database.locks import MIGRATION_LOCK
from actors.database.objects import SCHEMA, objects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.database.driver import Connection
    from actors.database.session import Session

MIGRATION_S: Final = 14_400.0
"""Time limit of one migration: rows are rewritten at some 250,000 a second, or far fewer."""

EQUIVALENT: Final[Mapping[int, frozenset[str]]] = {
    6: frozenset({"b267306227918c1a3530e45923d64983828282a28ff823e29d4cc972b512a846"}),
    9: frozenset({"5e4d76dc81e0500e337d6133d00526a4ea6acd324221cb8d092ed5dda043eef0"}),
}
"""Checksums of other texts of a migration that lead to the same database.

That of 0006 has another body for a function that 0007 replaces, that of 0009 another comment.
"""

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_CREATE_TABLE = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
)
"""
# Schema versions up to 5 do not record it.
_ADD_RECORD = "alter table schema_migrations add column if not exists made text[]"
# Other programs too have a table called schema_migrations.
_ELSEWHERE = """
select n.nspname from pg_namespace as n
where n.nspname <> $1 and 2 = (
    select count(*) from pg_class as c where c.relnamespace = n.oid and c.relkind = 'r'
    and c.relname in ('schema_migrations', 'ruleset_archive')
)
order by 1 limit 1
"""
# For the transaction alone; the limit is ours. The server's may be shorter than what a large world
# takes, and each start would be cut off again, between two versions.
_NO_OTHER_LIMIT = """
select set_config(name, '0', true)
from unnest('{statement_timeout,lock_timeout,transaction_timeout}'::text[]) as name
"""
_MAY_CREATE = f"""
select quote_ident(current_user) as role, has_schema_privilege('{SCHEMA}', 'create') as may
"""
_INSUFFICIENT_PRIVILEGE = "42501"
_RECORD = "insert into schema_migrations (version, name, checksum, made) values ($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the SQL, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def shipped_migrations() -> tuple[Migration, ...]:
    """Read the migrations shipped with the program, in order."""
    found: list[Migration] = []
    for file in (resources.files("actors.database") / "migrations").iterdir():
        match = _FILE_NAME.fullmatch(file.name)
        if match is not None:
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(version=int(match[1]), name=match[2], sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.version))


async def migrate(
    connection: Connection,
    *,
    migrations: Sequence[Migration] | None = None,
    on_start: Callable[[Migration], None] = lambda _: None,
    on_applied: Callable[[Migration], None] = lambda _: None,
) -> tuple[int, ...]:
    """Apply what the database lacks, and return the versions applied (none if it was up to date).

    ``on_start`` and ``on_applied`` are called with each migration. The server's time limits do not
    apply to it. A failure leaves the database at the last one committed, and carries a note naming
    the one that failed.

    Raises:
        SchemaTooNew: the database has migrations that this program does not know.
        SchemaMismatch: a migration differs from the one applied to the database.
        DatabaseError: as `Connection.run`.
    """
    known = shipped_migrations() if migrations is None else tuple(migrations)
    applied: list[int] = []
    while True:
        migration = await _apply_next(connection, known, on_start)
        if migration is None:
            return tuple(applied)
        applied.append(migration.version)
        on_applied(migration)


async def seen_versions(session: Session) -> tuple[int, ...]:
    """Return the versions of the migrations applied to a database; none for an empty one.

    Raises:
        SchemaElsewhere: Holdfast's tables are in another schema.
    """
    if await session.fetchval("select to_regclass('schema_migrations')") is None:
        elsewhere = await session.fetchval(_ELSEWHERE, SCHEMA)
        if elsewhere is not None:
            raise SchemaElsewhere(
                f"the database has a world in the schema {elsewhere!r}, but Holdfast uses "
                f"{SCHEMA!r}: if that is empty, move the world there with drop schema {SCHEMA}; "
                f'alter schema "{elsewhere}" rename to {SCHEMA}'
            )
        return ()
    rows = await session.fetch("select version from schema_migrations order by version")
    return tuple(row["version"] for row in rows)


def check_known(seen: Mapping[int, str], *, whose: str) -> None:
    """Check that this program knows the migrations applied to a database: checksums by version.

    Raises:
        SchemaTooNew: a newer program has written it.
        SchemaMismatch: a migration differs from the one applied.
    """
    _check(seen, shipped_migrations(), whose)


async def check_current(session: Session) -> None:
    """Check that a database with any migrations has all of this program's.

    Raises:
        SchemaTooOld: it lacks some.
        SchemaTooNew, SchemaMismatch: as `check_known`.
    """
    seen = await _checksums(session)
    known = shipped_migrations()
    _check(seen, known)
    lacking = [migration.version for migration in known if migration.version not in seen]
    if lacking:
        newest = max(seen, default=0)
        # With extensions' migrations the highest number proves nothing.
        old = (
            f"the database has schema version {newest}, but this program needs {known[-1].version}"
            if newest < known[-1].version
            else f"the database lacks migration {lacking[0]:04} of this program"
        )
        raise SchemaTooOld(f"{old}: holdfast init or a start of holdfast serve upgrades it")


async def check_rights(session: Session) -> None:
    """Check that the role may do what migrations do, so that none fails after others are committed.

    That it owns the tables is found out by the first one, which then changes nothing.

    Raises:
        StatementError: it may not create anything in the schema.
    """
    [row] = await session.fetch(_MAY_CREATE)
    if not row["may"]:
        raise StatementError(
            f"the role {row['role']} may not create anything in the schema {SCHEMA}, which an "
            f"upgrade does: grant create on schema {SCHEMA} to {row['role']}",
            sqlstate=_INSUFFICIENT_PRIVILEGE,
        )


async def _apply_next(
    connection: Connection,
    known: Sequence[Migration],
    on_start: Callable[[Migration], None],
) -> Migration | None:
    """Apply the first missing migration, and return it; None if there is none."""
    started: Migration | None = None

    async def script(session: Session) -> None:
        nonlocal started
        async with session.transaction():
            await session.execute(_NO_OTHER_LIMIT)
            await session.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
            seen = await _seen(session)
            _check(seen, known)
            for migration in known:
                if migration.version not in seen:
                    started = migration
                    on_start(migration)
                    await _apply(session, migration)
                    return

    try:
        await connection.run(script, timeout_s=MIGRATION_S)
    except DatabaseError as error:
        if started is not None:
            error.add_note(f"it failed in migration {started.version:04} ({started.name})")
        raise
    return started


async def _apply(session: Session, migration: Migration) -> None:
    """Apply one, and record it with what it made."""
    before = {*await objects(session)}
    await session.execute(migration.sql)
    made = [name for name in await objects(session) if name not in before]
    await session.execute(_ADD_RECORD)
    await session.execute(_RECORD, migration.version, migration.name, migration.checksum, made)


async def _seen(session: Session) -> dict[int, str]:
    """Return the checksum of every migration applied to the database."""
    if await session.fetchval("select to_regclass('schema_migrations')") is None:
        await session.execute(_CREATE_TABLE)
    return await _checksums(session)


async def _checksums(session: Session) -> dict[int, str]:
    rows = await session.fetch("select version, checksum from schema_migrations")
    return {row["version"]: row["checksum"] for row in rows}


def _check(
    seen: Mapping[int, str], known: Sequence[Migration], whose: str = "the database"
) -> None:
    newest = max((migration.version for migration in known), default=0)
    in_database = max(seen, default=0)
    if in_database > newest:
        raise SchemaTooNew(
            f"{whose} has schema version {in_database}, but this program knows versions up to "
            f"{newest} only: run the version that wrote it, or a newer one"
        )
    unknown = seen.keys() - {migration.version for migration in known}
    if unknown:
        raise SchemaTooNew(
            f"{whose} has migration {min(unknown):04}, which this program does not know: run the "
            "version that wrote it, or a newer one"
        )
    for migration in known:
        checksum = seen.get(migration.version, migration.checksum)
        others = EQUIVALENT.get(migration.version, frozenset())
        if checksum != migration.checksum and checksum not in others:
            raise SchemaMismatch(
                f"migration {migration.version:04} of {whose} differs from this program's: run "
                "the version that wrote it"
            )
