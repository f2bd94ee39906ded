"""Backups: a whole database in one file, and back, into this or another PostgreSQL.

The file is ``pg_dump``'s custom format, of one moment, however much is written meanwhile. A restore
is one transaction: either all of the backup is there in the end, or what was there before.
"""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from actors.database.errors import BackupError, DatabaseInUse
from actors.database.locks import acquire_server_lock
from actors.database.migrate import check_known
from actors.database.tools import Target, running

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from actors.database.driver import Connection
    from actors.database.session import Session

MAGIC: Final = b"PGDMP"
"""What a file in ``pg_dump``'s custom format begins with."""

STALL_S: Final = 120.0
"""A dump that makes no progress for so long is given up: its server does not answer any more."""

_LOCK_WAIT: Final = "30s"
_POLL_S: Final = 0.25
_ANALYZE_S: Final = 600.0
_VERSIONS: Final = "schema_migrations"
_COPY: Final = re.compile(r"COPY public\.schema_migrations \((?P<columns>.*)\) FROM stdin;")
_DUMPING: Final = re.compile(r'dumping contents of table "(?:public\.)?(?P<table>[^"]+)"')
_LOADING: Final = re.compile(r'processing data for table "(?:public\.)?(?P<table>[^"]+)"')

# What psql gets before and after the backup: without the end nothing of it counts.
_BEGIN: Final = "begin;\n"
_REPLACE: Final = (
    "begin;\ndrop schema public cascade;\ncreate schema public;\n"
    "grant usage on schema public to public;\n"
)
_COMMIT: Final = "\ncommit;\n"

_RELATIONS: Final = """
select count(*) from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  and n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'
"""


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """What a backup says of itself: its schema's version, and its size."""

    schema_version: int
    file_bytes: int


async def back_up(
    dsn: str,
    file: Path,
    *,
    overwrite: bool = False,
    on_progress: Callable[[str, int], None] | None = None,
    connect_timeout_s: float = 5.0,
    stall_s: float = STALL_S,
) -> BackupInfo:
    """Write a backup of a database, also one that a server works on.

    The file is complete and safe on disk when it gets its name; cancelled or failed, nothing is
    left. ``on_progress`` is told the table that is being written, and the bytes so far.

    Raises:
        BackupError: it cannot be made, or the file is there already and shall not be replaced.
        SchemaTooNew, SchemaMismatch: the database is not of this program.
        OSError: the file cannot be written.
    """
    target = Target.of(dsn, connect_timeout_s=connect_timeout_s)
    with _new_file(file, overwrite=overwrite) as unfinished:
        watch = _Watch(unfinished.descriptor, on_progress, stall_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run)
            async with running(
                "pg_dump",
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                "--no-comments",
                "--verbose",
                f"--lock-wait-timeout={_LOCK_WAIT}",
                "--no-password",
                f"--dbname={target.dsn}",
                environment=target.environment,
                stdout=unfinished.descriptor,
                on_line=watch.take,
            ):
                pass
            nursery.cancel_scope.cancel()
        # Read back, so that nobody relies on what cannot be read.
        info = await inspect_backup(unfinished.path)
        await trio.to_thread.run_sync(unfinished.keep)
    return info


async def inspect_backup(file: Path) -> BackupInfo:
    """Read what a backup is, and whether this program can restore it.

    Raises:
        BackupError: the file is not a backup of Holdfast.
        SchemaTooNew, SchemaMismatch: another program has written it.
        OSError: the file cannot be read.
    """
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise BackupError(f"{file} is no backup")
    seen = await _versions_in(file)
    if not seen:
        raise BackupError(f"{file} is no backup of Holdfast")
    check_known(seen, whose=f"the backup {file}")
    return BackupInfo(max(seen), file.stat().st_size)


async def restore(
    connection: Connection,
    dsn: str,
    file: Path,
    *,
    replace: bool = False,
    on_progress: Callable[[str, int], None] | None = None,
    connect_timeout_s: float = 5.0,
) -> BackupInfo:
    """Bring a backup into a database, by a ``connection`` to it and by its ``dsn``.

    No server may be at work there, and none can begin to until the end. With ``replace`` the world
    that is there goes, in the same transaction in which the other comes. ``on_progress`` is told
    the table that is being read, and the bytes of the file. Cancelled or failed, the database is
    what it was.

    Raises:
        AlreadyServed: a server is at work on the database.
        DatabaseInUse: there is something in it that is not to be replaced, or not Holdfast's.
        BackupError: the file cannot be restored.
        SchemaTooNew, SchemaMismatch: another program has written it.
        DatabaseError, OSError: the database or the file fails.
    """
    info = await inspect_backup(file)
    await connection.run(acquire_server_lock, timeout_s=10.0)
    clear = await _must_clear(connection, replace=replace)
    target = Target.of(dsn, connect_timeout_s=connect_timeout_s)

    def take(line: str) -> None:
        found = _LOADING.search(line)
        if found is not None and on_progress is not None:
            on_progress(found["table"], info.file_bytes)

    await _load(file, target, _REPLACE if clear else _BEGIN, take)
    # Without statistics the first queries would be slow.
    await connection.run(lambda session: session.execute("analyze"), timeout_s=_ANALYZE_S)
    return info


async def _load(file: Path, target: Target, begin: str, take: Callable[[str], None]) -> None:
    """Turn a backup into SQL and have it run, in a transaction that only its end commits."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        async with running(
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            f"--dbname={target.dsn}",
            "--file=-",
            environment=target.environment,
            stdin=source.fileno(),
        ) as psql:
            source.close()
            sink.write(begin.encode())
            try:
                async with running(
                    "pg_restore",
                    "--no-owner",
                    "--no-privileges",
                    "--verbose",
                    "--file=-",
                    file.absolute(),
                    stdout=sink.fileno(),
                    on_line=take,
                ):
                    pass
                await trio.to_thread.run_sync(sink.write, _COMMIT.encode(), abandon_on_cancel=True)
                sink.close()
            except* (BackupError, BrokenPipeError):
                # Where psql has given up first, its reason is the reason.
                with trio.move_on_after(1.0):
                    await psql.finish()
                raise


async def _must_clear(connection: Connection, *, replace: bool) -> bool:
    """Say whether something is to be cleared away; refuse where it must not be."""

    async def look(session: Session) -> tuple[int, int | None]:
        relations: int = await session.fetchval(_RELATIONS)
        if not relations:
            return 0, 0
        for table in ("schema_migrations", "accounts", "world"):
            if await session.fetchval("select to_regclass($1)", f"public.{table}") is None:
                return relations, None
        used = "select (select count(*) from accounts) + (select count(*) from world)"
        return relations, await session.fetchval(used)

    relations, used = await connection.run(look)
    if used is None:
        raise DatabaseInUse(
            "the database holds tables that are not Holdfast's: make one for it alone"
        )
    if used and not replace:
        raise DatabaseInUse("there is a world in the database already; --force replaces it")
    return relations > 0


async def _versions_in(file: Path) -> dict[int, str]:
    """Give the checksums of the migrations that a backup has seen, by version."""
    with tempfile.TemporaryFile() as out:
        async with running(
            "pg_restore",
            "--data-only",
            f"--table={_VERSIONS}",
            "--file=-",
            file.absolute(),
            stdout=out.fileno(),
        ):
            pass
        out.seek(0)
        lines = out.read().decode("utf-8", "replace").splitlines()
    return _read_versions(lines)


def _read_versions(lines: list[str]) -> dict[int, str]:
    for number, line in enumerate(lines):
        found = _COPY.fullmatch(line)
        if found is not None:
            columns = found["columns"].split(", ")
            rows = (
                dict(zip(columns, row.split("\t"), strict=False)) for row in lines[number + 1 :]
            )
            return _by_version(rows)
    return {}


def _by_version(rows: Generator[dict[str, str]]) -> dict[int, str]:
    seen: dict[int, str] = {}
    for row in rows:
        if "checksum" not in row or not row["version"].isdecimal():
            break  # the end of the data
        seen[int(row["version"])] = row["checksum"]
    return seen


class _Watch:
    """Follows a dump: tells how far it is, and gives it up when it goes no further."""

    def __init__(
        self, descriptor: int, on_progress: Callable[[str, int], None] | None, stall_s: float
    ) -> None:
        self._descriptor = descriptor
        self._on_progress = on_progress
        self._stall_s = stall_s
        self._table = ""
        self._moved_at = trio.current_time()

    def take(self, line: str) -> None:
        """Take a line that ``pg_dump`` says."""
        self._moved_at = trio.current_time()
        found = _DUMPING.search(line)
        if found is not None:
            self._table = found["table"]

    async def run(self) -> None:
        """Look at the file again and again.

        Raises:
            BackupError: nothing has happened for too long.
        """
        size = -1
        while True:
            now_size = os.fstat(self._descriptor).st_size
            if now_size != size:
                size, self._moved_at = now_size, trio.current_time()
                if self._on_progress is not None:
                    self._on_progress(self._table, size)
            if trio.current_time() > self._moved_at + self._stall_s:
                raise BackupError(f"pg_dump made no progress for {self._stall_s:g} s")
            await trio.sleep(_POLL_S)


@dataclass(frozen=True, slots=True)
class _Unfinished:
    """A file that has no name of its own yet."""

    descriptor: int
    path: Path
    file: Path
    overwrite: bool

    def keep(self) -> None:
        """Make it safe on disk and give it its name.

        Raises:
            BackupError: there is a file of that name by now.
        """
        os.fsync(self.descriptor)
        if self.overwrite:
            self.path.replace(self.file)
        else:
            try:
                # Unlike a renaming this fails where the name is taken.
                self.file.hardlink_to(self.path)
            except FileExistsError:
                raise _exists(self.file) from None
            self.path.unlink()
        directory = os.open(self.file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def _new_file(file: Path, *, overwrite: bool) -> Generator[_Unfinished]:
    """Open a file beside its place, for its owner alone; remove it where it was not kept."""
    if file.exists() and not overwrite:
        raise _exists(file)
    path = file.with_name(f".{file.name}.{os.getpid()}.part")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        yield _Unfinished(descriptor, path, file, overwrite)
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            path.unlink()


def _exists(file: Path) -> BackupError:
    return BackupError(f"{file} is there already; --force replaces it")
