"""Restoring a backup, into this or another PostgreSQL: in one transaction, or not at all."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from actors.database.backup import STALL_S, absolute, inspect_backup
from actors.database.errors import BackupError, DatabaseError, DatabaseInUse
from actors.database.locks import RESTORE_LOCK, acquire_server_lock
from actors.database.migrate import seen_versions
from actors.database.objects import SCHEMA, dropping, objects, ours
from actors.database.session_settings import SETTINGS
from actors.database.tools import Target, run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from actors.database.backup import BackupInfo
    from actors.database.driver import Connection
    from actors.database.session import Session
    from actors.database.tools import Outcome

_ANALYZE_S: Final = 600.0
_LOCK_WAIT: Final = "30s"
_PROBE_S: Final = 0.5
_ENDING_S: Final = 2.0
"""How long a cancelled restore waits for a commit in flight: mostly it is done."""
_LOADING: Final = re.compile(r'processing data for table "(?:public\.)?(?P<table>[^"]+)"')

# Sent to psql after the backup: psql echoes it on standard error once all before it is done, and
# without the end nothing of it counts.
_READ: Final = "holdfast: all of the backup is read"
_SAY_READ: Final = f"\n\\warn '{_READ}'\n"
_COMMIT: Final = "commit;\n"

_REFUSED: Final = 3
"""How psql exits after an error from the server: the transaction is rolled back."""

_OURS: Final = ("table public.schema_migrations", "table public.accounts", "table public.world")
_USED: Final = "select exists (select from accounts) or exists (select from world)"


async def restore(
    connection: Connection,
    dsn: str,
    file: Path,
    *,
    replace: bool = False,
    where: str = "database",
    on_progress: Callable[[str, int], None] | None = None,
    connect_timeout_s: float = 5.0,
    stall_s: float = STALL_S,
    log: FilteringBoundLogger,
) -> BackupInfo:
    """Load a backup into a database, using a ``connection`` to it and its ``dsn``.

    No server may be using it, and none can start until the end. With ``replace`` the existing
    world is removed in the same transaction that loads the new one. ``on_progress`` receives the
    table being read, and the bytes of the file. On cancellation or failure, which includes no
    answer for ``stall_s``, the database stays as it was; if that happens during the commit the
    outcome is unknown, and an error says so, or the log if it was cancelled. A committed restore
    counts as done: if cancelled then, it returns, or the log says that it is done.

    Raises:
        AlreadyServed: a server is using the database.
        DatabaseInUse: something in it must not be replaced, or is not Holdfast's.
        BackupError: the file cannot be restored.
        SchemaTooNew, SchemaMismatch: another program wrote it.
        SchemaElsewhere: the database has a world in another schema.
        DatabaseError, OSError: the database or the file fails.
    """
    info = await inspect_backup(file)
    await connection.run(acquire_server_lock, timeout_s=10.0)
    clearing = await _clearing(connection, where, replace=replace)
    # A second world beside one in another schema would hide that from every later start.
    await connection.run(seen_versions)
    target = Target.of(dsn, connect_timeout_s=connect_timeout_s)

    def take(line: str) -> None:
        found = _LOADING.search(line)
        if found is not None and on_progress is not None:
            on_progress(found["table"], info.file_bytes)

    watch = _Watch(connection, stall_s)
    outcomes: list[Outcome] = []
    commit = _Commit()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, nursery.cancel_scope)
            try:
                outcomes += await _load(file, target, clearing, take, commit)
            except BaseException:
                # Leaving would wait for a probe in flight.
                connection.terminate()
                raise
            nursery.cancel_scope.cancel()
    except BaseException:
        if commit.asked:
            log.warning("restore_interrupted", took_effect="yes" if commit.done else "unknown")
        raise
    if not outcomes and not commit.done:
        raise _failed(file, watch.lost or "", in_doubt=commit.asked)
    for outcome in outcomes:
        if outcome.status != 0:
            in_doubt = commit.asked and outcome.status != _REFUSED
            raise _failed(file, outcome.complaint, in_doubt=in_doubt)
    await _analyze(connection, log)
    return info


async def _analyze(connection: Connection, log: FilteringBoundLogger) -> None:
    """Collect statistics, without which the first queries would be slow; cancelled or not."""
    try:
        with trio.CancelScope(shield=True):
            await connection.run(lambda session: session.execute("analyze"), timeout_s=_ANALYZE_S)
    except DatabaseError as error:
        log.warning("restore_not_analyzed", reason=str(error))


@dataclass(slots=True)
class _Commit:
    """The progress of the transaction's end: sent, and confirmed."""

    asked: bool = False
    done: bool = False


def _failed(file: Path, reason: str, *, in_doubt: bool) -> BackupError:
    if not in_doubt:
        return BackupError(f"cannot restore {file}: {reason}")
    return BackupError(
        f"it is not known whether the restore of {file} took effect (it was being committed: "
        f"{reason}); check before you repeat it"
    )


async def _load(
    file: Path,
    target: Target,
    clearing: Sequence[str],
    take: Callable[[str], None],
    commit: _Commit,
) -> list[Outcome]:
    """Turn a backup into SQL and run it, in a transaction that only its end commits.

    Returns the programs' outcomes, the one that is the cause first if both failed. If cancelled
    after the end was sent, it allows psql a moment more.
    """
    patience = f"set local lock_timeout = '{_LOCK_WAIT}'"
    lock = f"select pg_advisory_xact_lock({RESTORE_LOCK})"
    opening = SETTINGS, "begin", patience, lock, *clearing
    begin = "".join(f"{statement};\n" for statement in opening)
    loaded: list[Outcome] = []
    read_or_ended, ended = trio.Event(), trio.Event()
    ending = trio.CancelScope()

    def listen(line: str) -> None:
        if line == _READ:
            read_or_ended.set()

    source, sink = os.pipe()
    with os.fdopen(source, "rb") as reading, os.fdopen(sink, "wb", buffering=0) as writing:

        async def load(task_status: trio.TaskStatus[None]) -> None:
            with ending:
                outcome = await _psql(target, reading.fileno(), listen, task_status)
                loaded.append(outcome)
                commit.done = commit.asked and outcome.status == 0
            read_or_ended.set()
            ended.set()

        async with trio.open_nursery() as nursery:
            await nursery.start(load)
            reading.close()
            with suppress(BrokenPipeError):
                await trio.to_thread.run_sync(writing.write, begin.encode())
            read = await run_tool(
                "pg_restore",
                f"--schema={SCHEMA}",
                "--no-owner",
                "--no-privileges",
                "--verbose",
                "--file=-",
                absolute(file),
                stdout=writing.fileno(),
                on_line=take,
            )
            if read.status == 0:
                with suppress(BrokenPipeError):
                    await trio.to_thread.run_sync(writing.write, _SAY_READ.encode())
                    await read_or_ended.wait()
                    if not loaded:
                        commit.asked = ending.shield = True
                        # Everything before it has been read: there is room for it.
                        writing.write(_COMMIT.encode())
            writing.close()
            try:
                await ended.wait()
            finally:
                ending.deadline = trio.current_time() + _ENDING_S
    # A failing reader ends the program that feeds it: then the reader's reason counts.
    return [*loaded, read] if read.status == -signal.SIGPIPE else [read, *loaded]


async def _psql(
    target: Target,
    script: int,
    on_line: Callable[[str], None],
    task_status: trio.TaskStatus[None],
) -> Outcome:
    """Run the SQL from a descriptor, until it ends or a statement fails."""
    return await run_tool(
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        f"--dbname={target.dsn}",
        "--file=-",
        environment=target.environment,
        stdin=script,
        on_line=on_line,
        task_status=task_status,
    )


class _Watch:
    """Asks a database repeatedly whether it still answers, alongside the work on it.

    The work's progress cannot be seen: building a large index gives no sign of life.
    """

    def __init__(self, connection: Connection, stall_s: float) -> None:
        self._connection = connection
        self._stall_s = stall_s
        self.lost: str | None = None

    async def run(self, scope: trio.CancelScope) -> None:
        """Ask until cancelled; cancel ``scope`` if no answer comes in time."""
        while self.lost is None:
            await trio.sleep(_PROBE_S)
            try:
                await self._connection.run(_probe, timeout_s=self._stall_s)
            except DatabaseError as error:
                self.lost = str(error)
        scope.cancel()


async def _probe(session: Session) -> None:
    await session.execute("select 1")


async def _clearing(connection: Connection, where: str, *, replace: bool) -> tuple[str, ...]:
    """Return the statements that make room; refuse if something must not go."""
    there, others, used = await connection.run(_look)
    if others:
        raise DatabaseInUse(
            f"the {where} holds something that is not Holdfast's ({others[0]}): create one for "
            "Holdfast alone"
        )
    if used and not replace:
        raise DatabaseInUse(f"there is a world in the {where} already; --force replaces it")
    return dropping(there)


async def _look(session: Session) -> tuple[tuple[str, ...], list[str], bool]:
    """Return what is there, what of it is not Holdfast's, and whether anybody has lived there."""
    there = await objects(session)
    if not there:
        return (), [], False
    if not {*_OURS} <= {*there}:
        # Whatever the names, it belongs to another program.
        return there, [*there], False
    known = await ours(session)
    used: bool = await session.fetchval(_USED)
    return there, [name for name in there if name not in known], used
