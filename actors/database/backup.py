"""Backups: a whole world in one file, as of one moment, however much is written meanwhile.

The file is in ``pg_dump``'s custom format, with a seal behind it.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import trio

from actors.database.errors import BackupError
from actors.database.migrate import check_known
from actors.database.new_file import new_file
from actors.database.objects import SCHEMA
from actors.database.seal import is_whole, seal
from actors.database.tools import Target, run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAGIC: Final = b"PGDMP"
"""The first bytes of a file in ``pg_dump``'s custom format."""

STALL_S: Final = 120.0
"""A dump without progress for this long is abandoned: its server no longer answers."""

_LOCK_WAIT: Final = "30s"
_POLL_S: Final = 0.25
_VERSIONS: Final = "schema_migrations"
_COPY: Final = re.compile(r"COPY public\.schema_migrations \((?P<columns>.*)\) FROM stdin;")
_END_OF_DATA: Final = "\\."
_DUMPING: Final = re.compile(r'dumping contents of table "(?:public\.)?(?P<table>[^"]+)"')


@dataclass(frozen=True, slots=True)
class BackupInfo:
    """A backup's description of itself: its schema's version, and its size."""

    schema_version: int
    file_bytes: int


async def back_up(
    dsn: str,
    file: Path,
    *,
    overwrite: bool = False,
    for_folder_owner: bool = False,
    on_progress: Callable[[str, int], None] | None = None,
    connect_timeout_s: float = 5.0,
    stall_s: float = STALL_S,
) -> BackupInfo:
    """Write a backup of a database, even of one that a server is using.

    The file is complete and safe on disk when it gets its name; on cancellation or failure,
    nothing is left. If root creates it and ``for_folder_owner`` is set, it is given to the owner
    of its folder. ``on_progress`` receives the table being written, and the bytes so far.

    Raises:
        BackupError: it cannot be made, or the file already exists and must not be replaced.
        SchemaTooNew, SchemaMismatch: the database does not belong to this program.
        OSError: the file cannot be written.
    """
    target = Target.of(dsn, connect_timeout_s=connect_timeout_s)
    with new_file(file, overwrite=overwrite, for_folder_owner=for_folder_owner) as unfinished:
        await _dump(target, unfinished.descriptor, on_progress, stall_s)
        # Read back, so that nobody relies on an unreadable backup.
        seen = await _versions_in(unfinished.path)
        if not seen:
            raise BackupError("the database holds no Holdfast world to back up")
        await trio.to_thread.run_sync(seal, unfinished.descriptor)
        size = os.fstat(unfinished.descriptor).st_size
        # Nothing after this can be cancelled: a file that was kept is reported.
        await trio.to_thread.run_sync(unfinished.keep)
    return BackupInfo(max(seen), size)


async def _dump(
    target: Target,
    descriptor: int,
    on_progress: Callable[[str, int], None] | None,
    stall_s: float,
) -> None:
    watch = _Watch(descriptor, on_progress, stall_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run, nursery.cancel_scope)
        # If the watch cancels it, there is no outcome.
        outcome = await run_tool(
            "pg_dump",
            "--format=custom",
            f"--schema={SCHEMA}",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            "--verbose",
            f"--lock-wait-timeout={_LOCK_WAIT}",
            "--no-password",
            f"--dbname={target.dsn}",
            environment=target.environment,
            stdout=descriptor,
            on_line=watch.take,
        )
        nursery.cancel_scope.cancel()
    if watch.stalled:
        raise BackupError(f"the database made no progress for {stall_s:g} s")
    if outcome.status != 0:
        raise BackupError(f"cannot back up: {outcome.complaint}")


async def inspect_backup(file: Path) -> BackupInfo:
    """Read a backup's description, and check that this program can restore it.

    Raises:
        BackupError: the file is not a backup of Holdfast.
        SchemaTooNew, SchemaMismatch: another program wrote it.
        OSError: the file cannot be read.
    """
    await trio.to_thread.run_sync(_check_magic, file)
    if not await trio.to_thread.run_sync(is_whole, file):
        raise BackupError(f"{file} is damaged or incomplete")
    seen = await _versions_in(file)
    if not seen:
        raise BackupError(f"{file} is not a backup of Holdfast")
    check_known(seen, whose=f"the backup {file}")
    return BackupInfo(max(seen), await trio.to_thread.run_sync(_size, file))


async def _versions_in(file: Path) -> dict[int, str]:
    """Return the checksums of the migrations that a backup has had, by version."""
    with tempfile.TemporaryFile() as out:
        outcome = await run_tool(
            "pg_restore",
            "--data-only",
            f"--table={_VERSIONS}",
            "--file=-",
            absolute(file),
            stdout=out.fileno(),
        )
        out.seek(0)
        seen = _read_versions(out.read().decode("utf-8", "replace").splitlines())
    if outcome.status != 0:
        raise BackupError(f"{file} is not a readable backup: {outcome.complaint}")
    return seen


def _check_magic(file: Path) -> None:
    """Check the beginning of a file."""
    with file.open("rb") as opened:
        if opened.read(len(MAGIC)) != MAGIC:
            raise BackupError(f"{file} is not a backup")


def _size(file: Path) -> int:
    return file.stat().st_size


def absolute(file: Path) -> Path:
    """Return the path from the root: PostgreSQL's programs run in another directory than ours."""
    return file.absolute()


def _read_versions(lines: Sequence[str]) -> dict[int, str]:
    """Read the rows of the table of migrations from the SQL that would restore it."""
    for number, line in enumerate(lines):
        found = _COPY.fullmatch(line)
        if found is not None:
            columns = found["columns"].split(", ")
            data = takewhile(lambda each: each != _END_OF_DATA, lines[number + 1 :])
            rows = [dict(zip(columns, each.split("\t"), strict=True)) for each in data]
            return {int(row["version"]): row["checksum"] for row in rows}
    return {}


class _Watch:
    """Follows a dump: reports its progress, and abandons it when there is none."""

    def __init__(
        self, descriptor: int, on_progress: Callable[[str, int], None] | None, stall_s: float
    ) -> None:
        self._descriptor = descriptor
        self._on_progress = on_progress
        self._stall_s = stall_s
        self._table = ""
        self._moved_at = trio.current_time()
        self.stalled = False

    def take(self, line: str) -> None:
        """Take a line of ``pg_dump``'s output."""
        self._moved_at = trio.current_time()
        found = _DUMPING.search(line)
        if found is not None:
            self._table = found["table"]

    async def run(self, scope: trio.CancelScope) -> None:
        """Check the file repeatedly; cancel ``scope`` when nothing happens for too long."""
        size = -1
        while True:
            now_size = os.fstat(self._descriptor).st_size
            if now_size != size:
                size, self._moved_at = now_size, trio.current_time()
                if self._on_progress is not None:
                    self._on_progress(self._table, size)
            if trio.current_time() > self._moved_at + self._stall_s:
                self.stalled = True
                scope.cancel()
            await trio.sleep(_POLL_S)
