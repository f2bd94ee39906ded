"""Brings a database to this program's schema; an embedded one is backed up first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actors.database.backup import back_up
from actors.database.migrate import check_rights, migrate, seen_versions, shipped_migrations
from actors.database.new_file import remove_left_over
from actors.files import make_private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Connection
    from actors.database.migrate import Migration

KEPT: Final = 3
"""How many of the latest automatic backups, and of the latest schema versions, are kept."""

_PATTERN: Final = "*-schema-*.dump"
_VERSION: Final = re.compile(r"-schema-(\d+)\.dump$")


@dataclass(frozen=True, slots=True)
class AutomaticBackups:
    """Where a data directory's automatic backups are kept, and which database they are of."""

    directory: Path
    dsn: str

    @classmethod
    def of(cls, data_dir: Path, dsn: str) -> AutomaticBackups:
        """Keep them in the data directory."""
        return cls(data_dir / "backups", dsn)

    async def make(self, version: int, *, now: datetime, log: FilteringBoundLogger) -> Path:
        """Make one, and remove others: the latest by name stay, `KEPT` including the new one.

        So does the latest of each of the `KEPT` latest schema versions: starts that fail again and
        again leave a backup to restore the version before from. Remains of killed attempts are
        removed first. Made by root, it belongs to the owner of the data directory, whose server
        makes the next one.

        Raises: as `back_up`.
        """
        file = self.directory / f"{now:%Y%m%dT%H%M%SZ}-schema-{version}.dump"
        # A large world takes minutes, in which nothing else is logged.
        log.info("database_backup_started", path=str(file), version=version)
        make_private_folder(self.directory)
        remove_left_over(self.directory, _PATTERN)
        info = await back_up(self.dsn, file, overwrite=True, for_folder_owner=True)
        log.info("database_backed_up", path=str(file), bytes=info.file_bytes)
        # If the clock has been set back the new one does not have the latest name.
        others = sorted(other for other in self.directory.glob(_PATTERN) if other != file)
        for old in _superseded([*others, file]):
            old.unlink()
            log.info("old_backup_removed", path=str(old))
        return file


def _superseded(files: Sequence[Path]) -> list[Path]:
    """Return those automatic backups, given latest last, that need not be kept."""
    latest = {int(found[1]): file for file in files if (found := _VERSION.search(file.name))}
    kept = {*files[-KEPT:], *(latest[version] for version in sorted(latest)[-KEPT:])}
    return [file for file in files if file not in kept]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What an upgrade did to a database.

    ``before`` is the schema version that it had, 0 for an empty one; ``applied`` are the versions
    applied, ``newest`` is the program's.
    """

    before: int
    applied: tuple[int, ...]
    newest: int
    backup: Path | None

    @property
    def after(self) -> int:
        """The schema version that it has now; not the newest if a migration failed."""
        return max(self.before, *self.applied) if self.applied else self.before


async def upgrade(
    connection: Connection,
    backups: AutomaticBackups | None,
    *,
    now: datetime,
    log: FilteringBoundLogger,
    migrations: Sequence[Migration] | None = None,
    tell: Callable[[Upgrade], None] = lambda _: None,
) -> Upgrade:
    """Apply what the database lacks, after a backup if there is something to lose.

    Without ``backups`` (the operator's own server) none is made. ``now`` is wall-clock time. If
    anything was applied, ``tell`` is called at once, even on failure or cancellation.

    Raises:
        BackupError: the backup cannot be made; nothing was changed.
        StatementError: as `check_rights`; nothing was changed.
        SchemaElsewhere: as `seen_versions`.
        SchemaTooNew, SchemaMismatch, DatabaseError: as `migrate`.
    """
    known = shipped_migrations() if migrations is None else migrations
    newest = max((each.version for each in known), default=0)
    seen = await connection.run(seen_versions)
    before = max(seen, default=0)
    missing = [each.version for each in known if each.version not in seen]
    backup = None
    # `migrate` refuses a newer database; do not back it up.
    if seen and before <= newest and missing:
        await connection.run(check_rights)
        if backups is not None:
            backup = await backups.make(before, now=now, log=log)
    applied: list[int] = []

    def start(migration: Migration) -> None:
        log.info("migration_started", version=migration.version, name=migration.name)

    try:
        await migrate(
            connection,
            migrations=known,
            on_start=start,
            on_applied=lambda migration: applied.append(migration.version),
        )
    finally:
        done = Upgrade(before, tuple(applied), newest, backup)
        if applied:
            log.info("database_migrated", versions=applied)
            tell(done)
    return done
