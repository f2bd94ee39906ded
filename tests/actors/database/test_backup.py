"""What a backup promises: one moment of the world, in a complete, readable file."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database.backup import _dump, back_up, inspect_backup
from actors.database.driver import open_database
from actors.database.errors import BackupError, SchemaMismatch, SchemaTooNew
from actors.database.migrate import Migration, shipped_migrations
from actors.database.new_file import NewFile
from actors.database.restore import restore
from actors.database.seal import is_whole, seal
from actors.database.tools import Target
from tests.actors.database.worlds import listed, migrate_further
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from pathlib import Path

    from actors.database.session import Session
    from tests.postgres import PostgresServer

ACCOUNT = """
insert into accounts values (gen_random_uuid(), $1, $1, 'hash', 'player', null, now())
"""
ENTRY = "insert into audit values (gen_random_uuid(), now(), 'me', 'made', $1, '', '{}')"
LATER = Migration(9999, "later", "create table later (id bigint)")


async def test_backup_says_what_it_is(dsn: str, tmp_path: Path) -> None:
    """It has the schema's version and its size, reports progress, and is sealed."""
    file, told = tmp_path / "world.dump", list[tuple[str, int]]()
    info = await back_up(dsn, file, on_progress=lambda table, size: told.append((table, size)))
    assert info == await inspect_backup(file)
    assert info.schema_version == shipped_migrations()[-1].version
    assert info.file_bytes == file.stat().st_size
    assert is_whole(file)
    assert told
    assert listed(tmp_path) == [file]


async def test_backup_is_of_one_moment(postgres: PostgresServer, dsn: str, tmp_path: Path) -> None:
    """While accounts are created, each with an entry, no backup has one without the other."""
    numbers = itertools.count()

    async def make(session: Session) -> None:
        name = f"name-{next(numbers)}"
        async with session.transaction():
            await session.execute(ACCOUNT, name)
            await session.execute(ENTRY, name)

    async def write() -> None:
        async with open_database(dsn, log=quiet_log()) as database:
            connection = await database.connect(name="writer")
            while True:
                await connection.run(make)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        for number in range(3):
            await trio.sleep(0.05)
            await back_up(dsn, tmp_path / str(number))
        nursery.cancel_scope.cancel()
    counts = [await count_restored(postgres, tmp_path / str(number)) for number in range(3)]
    assert all(accounts == entries for accounts, entries in counts)
    assert 0 < counts[0][0] < counts[1][0] < counts[2][0]


async def count_restored(postgres: PostgresServer, file: Path) -> tuple[int, int]:
    """Restore a backup elsewhere; return the numbers of its accounts and entries."""
    dsn = await postgres.create_database_async()
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="restore")
        await restore(connection, dsn, file, log=quiet_log())
        accounts = await connection.run(lambda s: s.fetchval("select count(*) from accounts"))
        entries = await connection.run(lambda s: s.fetchval("select count(*) from audit"))
        await connection.aclose()
    return accounts, entries


async def test_backup_does_not_replace_a_file(dsn: str, tmp_path: Path) -> None:
    """An existing backup stays, unless it is to be replaced."""
    file = tmp_path / "world.dump"
    file.write_text("precious")
    with pytest.raises(BackupError, match="exists already"):
        await back_up(dsn, file)
    assert file.read_text() == "precious"
    await back_up(dsn, file, overwrite=True)
    assert is_whole(file)


async def test_backup_that_cannot_be_made_leaves_nothing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """An empty database or a missing one: one line each, and no file."""
    empty = await postgres.create_database_async(migrated=False)
    with pytest.raises(BackupError, match="no Holdfast world to back up"):
        await back_up(empty, tmp_path / "file")
    with pytest.raises(BackupError, match=r'cannot back up: .*database "nowhere" does not exist'):
        await back_up(
            f"{empty[: empty.index('/test_')]}/nowhere{empty[empty.index('?') :]}",
            tmp_path / "file",
        )
    assert listed(tmp_path) == []


async def test_backup_of_a_frozen_server_is_given_up(
    postgres: PostgresServer, dsn: str, tmp_path: Path
) -> None:
    """An unresponsive server holds up a backup for a bounded time; nothing is left of it."""
    with postgres.frozen(), pytest.raises(BackupError, match=r"made no progress for 0\.5 s"):
        await back_up(dsn, tmp_path / "file", stall_s=0.5)
    assert listed(tmp_path) == []


async def test_backup_that_is_cancelled_too_late_is_one(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who sees no result would believe that there is no backup."""
    keep = NewFile.keep

    def keep_and_cancel(unfinished: NewFile) -> None:
        keep(unfinished)
        trio.from_thread.run_sync(scope.cancel)

    monkeypatch.setattr(NewFile, "keep", keep_and_cancel)
    info = None
    with trio.CancelScope() as scope:
        info = await back_up(dsn, tmp_path / "world.dump")
    monkeypatch.undo()
    assert info == await inspect_backup(tmp_path / "world.dump")


async def test_backup_that_is_cancelled_leaves_nothing(
    postgres: PostgresServer, dsn: str, tmp_path: Path
) -> None:
    """Cancelled midway, a backup leaves neither a file nor a part of one."""
    with postgres.frozen(), trio.move_on_after(0.5) as scope:
        await back_up(dsn, tmp_path / "file")
    assert scope.cancelled_caught
    assert listed(tmp_path) == []


async def test_backup_of_a_later_program_is_refused(dsn: str, tmp_path: Path) -> None:
    """A later program's backup can be made, losing nothing, but this program cannot restore it."""
    await migrate_further(dsn, LATER)
    file = tmp_path / "later.dump"
    assert (await back_up(dsn, file)).schema_version == LATER.version
    with pytest.raises(SchemaTooNew, match=r"later\.dump has schema version 9999"):
        await inspect_backup(file)


async def test_backup_of_another_program_is_refused(dsn: str, tmp_path: Path) -> None:
    """A migration with the same number but different text belongs to another program."""
    await run_script(
        dsn, lambda session: session.execute("update schema_migrations set checksum = 'x'")
    )
    await back_up(dsn, tmp_path / "file")
    with pytest.raises(SchemaMismatch, match="of the backup"):
        await inspect_backup(tmp_path / "file")


async def test_backup_is_told_from_other_files(dsn: str, tmp_path: Path) -> None:
    """An unrelated file, a partial backup and a dump of something else are told apart."""
    file = tmp_path / "file"
    file.write_text("hello")
    with pytest.raises(BackupError, match=r"is not a backup$"):
        await inspect_backup(file)
    await back_up(dsn, file, overwrite=True)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BackupError, match="is damaged or incomplete"):
        await inspect_backup(file)
    with file.open("wb+") as opened:
        opened.write(b"PGDMP and so on")
        opened.flush()
        seal(opened.fileno())
    with pytest.raises(BackupError, match="is not a readable backup"):
        await inspect_backup(file)
    with pytest.raises(FileNotFoundError):
        await inspect_backup(tmp_path / "nowhere")


async def test_backup_of_other_tables_is_no_backup_of_holdfast(dsn: str, tmp_path: Path) -> None:
    """Without the rows that record applied migrations, a database is not Holdfast's."""
    file, other = tmp_path / "file", tmp_path / "other"
    await back_up(dsn, file)
    await run_script(dsn, lambda session: session.execute("delete from schema_migrations"))
    with pytest.raises(BackupError, match="no Holdfast world"):
        await back_up(dsn, file, overwrite=True)
    assert is_whole(file)
    with other.open("wb+") as opened:
        await _dump(Target.of(dsn), opened.fileno(), None, 60)
        seal(opened.fileno())
    with pytest.raises(BackupError, match=r"is not a backup of Holdfast$"):
        await inspect_backup(other)
