"""Brings a database to the schema of this program: numbered SQL files, forward only.

Each migration is one transaction, which also records it in ``schema_migrations`` with the
checksum of its text and the names of what it made. An advisory lock held by each transaction
keeps two servers that start at once from racing: the second finds the work done.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from actors.database.errors import SchemaMismatch, SchemaTooNew, SchemaTooOld
from actors.database.locks import MIGRATION_LOCK
from actors.database.objects import objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.database.driver import Connection
    from actors.database.session import Session

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")

_CREATE_TABLE = """
create table if not exists schema_migrations (
    version    integer primary key,
    name       text not null,
    checksum   text not null,
    applied_at timestamptz not null default now()
)
"""
# Programs up to schema version 5 did not record it.
_ADD_RECORD = "alter table schema_migrations add column if not exists made text[]"
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
    """Read the migrations that come with the program, in order."""
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
    timeout_s: float = 60.0,
) -> tuple[int, ...]:
    """Apply what the database lacks, and give the versions applied (none if it was up to date).

    ``timeout_s`` is for each migration. A failure leaves the database at the last migration that
    was committed.

    Raises:
        SchemaTooNew: the database has migrations that this program does not know.
        SchemaMismatch: a migration differs from the one that the database has seen.
        DatabaseError: as `Connection.run`.
    """
    known = shipped_migrations() if migrations is None else tuple(migrations)
    applied: list[int] = []
    while True:
        version = await connection.run(
            lambda session: _apply_next(session, known), timeout_s=timeout_s
        )
        if version is None:
            return tuple(applied)
        applied.append(version)


async def seen_versions(session: Session) -> tuple[int, ...]:
    """Give the versions of the migrations that a database has had; none for an empty one."""
    if await session.fetchval("select to_regclass('schema_migrations')") is None:
        return ()
    rows = await session.fetch("select version from schema_migrations order by version")
    return tuple(row["version"] for row in rows)


def check_known(
    seen: Mapping[int, str],
    *,
    migrations: Sequence[Migration] | None = None,
    whose: str = "the database",
) -> None:
    """Check that this program knows what a database has had: checksums by version.

    Raises:
        SchemaTooNew: a newer program has written it.
        SchemaMismatch: a migration differs from the one that it has seen.
    """
    _check(seen, shipped_migrations() if migrations is None else migrations, whose)


async def check_current(session: Session) -> None:
    """Check that a database that has had migrations has had all of this program's.

    Raises:
        SchemaTooOld: it lacks some.
        SchemaTooNew, SchemaMismatch: as `check_known`.
    """
    seen = await _checksums(session)
    known = shipped_migrations()
    _check(seen, known)
    if any(migration.version not in seen for migration in known):
        raise SchemaTooOld(
            f"the database has schema version {max(seen, default=0)}, this program works on"
            f" {known[-1].version}: holdfast serve brings it up to date when it starts, and so does"
            " holdfast init"
        )


async def _apply_next(session: Session, known: Sequence[Migration]) -> int | None:
    """Apply the first migration that is missing; None where there is none."""
    async with session.transaction():
        await session.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        seen = await _seen(session)
        _check(seen, known)
        for migration in known:
            if migration.version not in seen:
                await _apply(session, migration)
                return migration.version
    return None


async def _apply(session: Session, migration: Migration) -> None:
    """Apply one, and record it with what it made."""
    before = {*await objects(session)}
    await session.execute(migration.sql)
    made = [name for name in await objects(session) if name not in before]
    await session.execute(_ADD_RECORD)
    await session.execute(_RECORD, migration.version, migration.name, migration.checksum, made)


async def _seen(session: Session) -> dict[int, str]:
    """Give the checksum of every migration that the database has had."""
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
            f"{whose} has schema version {in_database}, this program knows versions up to "
            f"{newest}: run the program that wrote it, or a newer one"
        )
    for migration in known:
        checksum = seen.get(migration.version, migration.checksum)
        if checksum != migration.checksum:
            raise SchemaMismatch(
                f"migration {migration.version:04} of {whose} is not the one of this program"
            )
