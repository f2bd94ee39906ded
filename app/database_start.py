"""Migrates a world's database at startup, and admits the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from actors.database.server_version import check_writable
from actors.database.session_settings import OVERRIDDEN, risky_settings
from actors.database.upgrade import AutomaticBackups, upgrade
from app import settings
from app.assembly import wall_clock
from app.rules_change import RulesChangeRefused, check_rules_change

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from actors.database.driver import Database
    from actors.database.embedded import EmbeddedPostgres
    from actors.inventory.ruleset import Ruleset
    from app.config import Config


async def prepare_database(
    config: Config,
    ruleset: Ruleset,
    database: Database,
    postgres: EmbeddedPostgres | None,
    log: FilteringBoundLogger,
) -> Mapping[str, str]:
    """Migrate the database and admit the rules; return the renamings that these apply.

    When cancelled, it waits for the query in progress, unless its connection is terminated.

    Raises:
        RulesChangeRefused: as `check_rules_change`.
        DatabaseError: as `check_writable` and `upgrade`.
    """
    connection = await database.connect(name="migrations")
    try:
        await connection.run(check_writable)
        for name in await connection.run(risky_settings):
            log.warning("database_not_durable", setting=name, overridden=name == OVERRIDDEN)
        backups = None
        if postgres is not None:
            backups = AutomaticBackups.of(Path(config.storage.data_dir), postgres.dsn)
        upgraded = await upgrade(connection, backups, now=wall_clock(), log=log)
        try:
            renaming = await check_rules_change(
                connection, ruleset, settings.renamed(config), log=log
            )
        except RulesChangeRefused as refused:
            if upgraded.before and upgraded.applied:
                refused.add_note(
                    f"the database has been upgraded from schema version {upgraded.before} to "
                    f"{upgraded.after} all the same: the earlier version no longer starts on it"
                )
            raise
    finally:
        await connection.aclose()
    if renaming.done:
        done = ", ".join(f"{old}={new}" for old, new in renaming.done.items())
        log.warning("renamed_already", names=done, remove_from="world.renamed")
    return renaming.applied
