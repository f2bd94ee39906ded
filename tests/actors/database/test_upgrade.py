"""What an upgrade promises: a backup first if there is something to lose, and not too many."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import LogCapture

from actors.database.backup import inspect_backup
from actors.database.driver import open_database
from actors.database.errors import BackupError, DatabaseError, SchemaTooNew, StatementError
from actors.database.migrate import Migration, shipped_migrations
from actors.database.new_file import new_file
from actors.database.seal import is_whole
from actors.database.upgrade import KEPT, AutomaticBackups, Upgrade, upgrade
from tests.actors.database.worlds import listed
from tests.play_root import owner_of, play_root
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.postgres import PostgresServer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SHIPPED = shipped_migrations()
VERSION = SHIPPED[-1].version


def later(number: int) -> Migration:
    """Make a migration from a later program."""
    return Migration(VERSION + number, "later", f"create table later_{number} (id bigint)")


async def bring_up_to_date(
    dsn: str,
    directory: Path | None,
    migrations: Sequence[Migration],
    *,
    now: datetime = NOW,
    capture: LogCapture | None = None,
    tell: Callable[[Upgrade], None] = lambda _: None,
) -> tuple[int, ...]:
    """Upgrade a database, with automatic backups in a data directory."""
    log = quiet_log(capture)
    backups = None if directory is None else AutomaticBackups.of(directory, dsn)
    async with open_database(dsn, log=log) as database:
        connection = await database.connect(name="upgrade")
        try:
            done = await upgrade(
                connection, backups, now=now, log=log, migrations=migrations, tell=tell
            )
            return done.applied
        finally:
            await connection.aclose()


async def test_upgrade_backs_up_before_it_changes_anything(dsn: str, tmp_path: Path) -> None:
    """The backup has the old schema, its version and the time in its name, and is logged."""
    capture = LogCapture()
    applied = await bring_up_to_date(dsn, tmp_path, [*SHIPPED, later(1)], capture=capture)
    assert applied == (VERSION + 1,)
    (file,) = (tmp_path / "backups").iterdir()
    assert file.name == f"20260102T030405Z-schema-{VERSION}.dump"
    assert (await inspect_backup(file)).schema_version == VERSION
    events = [each["event"] for each in capture.entries]
    assert events == [
        *("database_backup_started", "database_backed_up"),
        *("migration_started", "database_migrated"),
    ]


async def test_upgrade_says_that_it_backs_up_before_it_does(dsn: str, tmp_path: Path) -> None:
    """Nothing listens yet, and in a large world it takes minutes: the log says what is going on."""
    capture = LogCapture()
    (tmp_path / "backups").write_text("no folder")
    with pytest.raises(BackupError, match="is not a folder"):
        await bring_up_to_date(dsn, tmp_path, [*SHIPPED, later(1)], capture=capture)
    (only,) = capture.entries
    assert only["event"] == "database_backup_started"
    assert (only["version"], only["log_level"]) == (VERSION, "info")


async def test_upgrade_tells_what_it_has_done_where_it_fails(dsn: str, tmp_path: Path) -> None:
    """A failed upgrade says what it did: the earlier program no longer starts on the result."""
    broken = Migration(VERSION + 2, "broken", "select no_such_function()")
    told: list[Upgrade] = []
    capture = LogCapture()
    with pytest.raises(StatementError) as caught:
        await bring_up_to_date(
            dsn, tmp_path, [*SHIPPED, later(1), broken], capture=capture, tell=told.append
        )
    assert caught.value.__notes__ == [f"it failed in migration {VERSION + 2:04} (broken)"]
    (file,) = listed(tmp_path / "backups")
    assert told == [Upgrade(VERSION, (VERSION + 1,), VERSION + 2, file)]
    assert told[0].after == VERSION + 1
    logged = [(each["event"], each.get("version")) for each in capture.entries]
    assert logged[2:] == [
        ("migration_started", VERSION + 1),
        ("migration_started", VERSION + 2),
        ("database_migrated", None),
    ]


@pytest.mark.parametrize("migrated", [False, True])
async def test_upgrade_makes_no_backup_for_nothing(
    postgres: PostgresServer, tmp_path: Path, migrated: bool
) -> None:
    """An empty database has nothing to lose; an up-to-date one has nothing to fear."""
    dsn = await postgres.create_database_async(migrated=migrated)
    applied = await bring_up_to_date(dsn, tmp_path, SHIPPED)
    assert bool(applied) is not migrated
    assert listed(tmp_path) == []


async def test_upgrade_makes_no_backup_where_there_is_no_place(dsn: str, tmp_path: Path) -> None:
    """An operator's own server is backed up by its operator."""
    assert await bring_up_to_date(dsn, None, [*SHIPPED, later(1)]) == (VERSION + 1,)
    assert listed(tmp_path) == []


async def test_upgrade_keeps_the_latest_backups(dsn: str, tmp_path: Path) -> None:
    """After many upgrades the last few backups stay, as does everything else in the folder."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "mine.dump").write_text("mine")
    for number in range(1, KEPT + 3):
        migrations = [*SHIPPED, *map(later, range(1, number + 1))]
        await bring_up_to_date(dsn, tmp_path, migrations, now=NOW + timedelta(days=number))
    names = sorted(file.name for file in (tmp_path / "backups").iterdir())
    last = [f"202601{5 + n:02}T030405Z-schema-{VERSION + 2 + n}.dump" for n in range(KEPT)]
    assert names == [*last, "mine.dump"]
    assert all(is_whole(tmp_path / "backups" / name) for name in last)


async def test_upgrade_keeps_the_backup_that_it_has_made(dsn: str, tmp_path: Path) -> None:
    """If the clock was ahead before, the newest backup has the oldest name, and stays."""
    directory = tmp_path / "backups"
    directory.mkdir()
    for day in range(1, KEPT + 2):
        (directory / f"202701{day:02}T030405Z-schema-1.dump").write_text("from the future")
    await bring_up_to_date(dsn, tmp_path, [*SHIPPED, later(1)])
    names = sorted(file.name for file in listed(directory))
    rest = [f"202701{3 + n:02}T030405Z-schema-1.dump" for n in range(KEPT - 1)]
    assert names == [f"20260102T030405Z-schema-{VERSION}.dump", *rest]


async def test_upgrade_that_fails_again_and_again_keeps_what_it_began_with(
    dsn: str, tmp_path: Path
) -> None:
    """Each start backs up what the previous one left; the earlier version's backup stays."""
    fails = Migration(VERSION + 2, "fails", "select 1 / 0")
    for day in range(2 * KEPT):
        with pytest.raises(DatabaseError):
            await bring_up_to_date(
                dsn, tmp_path, [*SHIPPED, later(1), fails], now=NOW + timedelta(days=day)
            )
    names = [file.name for file in listed(tmp_path / "backups")]
    assert sum(f"-schema-{VERSION}." in name for name in names) == 1
    assert sum(f"-schema-{VERSION + 1}." in name for name in names) == KEPT
    assert len(names) == KEPT + 1


async def test_upgrade_does_not_begin_without_its_backup(dsn: str, tmp_path: Path) -> None:
    """If no backup can be made, the database stays as it is."""
    (tmp_path / "backups").mkdir()
    broken = f"{dsn}&user=nobody-of-that-name"
    log = quiet_log()
    async with open_database(dsn, log=log) as database:
        connection = await database.connect(name="upgrade")
        with pytest.raises(BackupError, match="cannot back up"):
            await upgrade(
                connection,
                AutomaticBackups.of(tmp_path, broken),
                now=NOW,
                log=log,
                migrations=[*SHIPPED, later(1)],
            )
        await connection.aclose()
    seen = await run_script(dsn, lambda s: s.fetchval("select max(version) from schema_migrations"))
    assert seen == VERSION
    assert listed(tmp_path / "backups") == []


async def test_upgrade_refuses_a_newer_database(dsn: str, tmp_path: Path) -> None:
    """A newer program's database is neither changed nor backed up."""
    await bring_up_to_date(dsn, None, [*SHIPPED, later(1)])
    for known in (SHIPPED, [*SHIPPED[:-1], later(0)]):
        with pytest.raises(SchemaTooNew, match="the database has schema version"):
            await bring_up_to_date(dsn, tmp_path, known)
    assert listed(tmp_path) == []


def unfinished(name: str) -> str:
    """Return the name of the file a killed backup leaves."""
    return f".{name}.{'0f' * 8}.part"


async def test_upgrade_removes_what_killed_ones_have_left(dsn: str, tmp_path: Path) -> None:
    """A start that is repeatedly killed during its backup does not fill the disk."""
    directory = tmp_path / "backups"
    directory.mkdir()
    for name in ("20260101T030405Z-schema-1.dump", "20260101T030406Z-schema-1.dump", "mine.dump"):
        (directory / unfinished(name)).write_text("left over")
    with new_file(directory / "20260101T030407Z-schema-1.dump", overwrite=False) as living:
        await bring_up_to_date(dsn, tmp_path, [*SHIPPED, later(1)])
        names = {file.name for file in listed(directory)}
    made = f"20260102T030405Z-schema-{VERSION}.dump"
    assert names == {made, living.path.name, unfinished("mine.dump")}


async def test_upgrade_by_root_leaves_the_backups_to_whose_world_it_is(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data directory's owner, who serves it, can use this backup and make the next."""
    given = play_root(monkeypatch, tmp_path)
    await bring_up_to_date(dsn, tmp_path, [*SHIPPED, later(1)])
    directory = tmp_path / "backups"
    assert given.owner(directory) == owner_of(tmp_path)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    (file,) = listed(directory)
    assert given.owner(file) == owner_of(tmp_path)


async def test_upgrade_by_root_gives_nothing_away_behind_a_link(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target of a link in the folder's place keeps its owner."""
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / "backups").symlink_to(tmp_path / "elsewhere")
    before = owner_of(tmp_path / "elsewhere")
    given = play_root(monkeypatch, tmp_path / "data")
    await bring_up_to_date(dsn, tmp_path / "data", [*SHIPPED, later(1)])
    (file,) = listed(tmp_path / "elsewhere")
    assert given.owner(tmp_path / "elsewhere") is None
    assert owner_of(file) == owner_of(tmp_path / "elsewhere") == before
