"""What a start checks about its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import LogCapture

from actors.database import upgrade
from actors.database.driver import open_database
from actors.database.errors import DatabaseUnavailable
from actors.database.migrate import Migration, shipped_migrations
from app import database_start
from app.config import Config
from app.database_start import prepare_database
from app.rules_change import RulesChangeRefused
from tests.app.test_rules_change import OLD
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

ORDINARY = [("fsync", False), ("full_page_writes", False)]
"""The warnings about the tests' server: nobody will miss its data."""


@pytest.mark.parametrize(
    ("role", "told"),
    [
        ("synchronous_commit=off", [*ORDINARY, ("synchronous_commit", True)]),
        ("synchronous_commit=local", ORDINARY),
    ],
)
async def test_prepare_database_warns_of_what_a_crash_may_take(
    database_dsn: str, role: str, told: list[tuple[str, bool]]
) -> None:
    """A setting that is off is logged once, at the start, with whether that matters here."""
    capture = LogCapture()
    log = quiet_log(capture)
    async with open_database(f"{database_dsn}&{role}", log=log) as database:
        await prepare_database(Config(), OLD, database, None, log)
    found = [each for each in capture.entries if each["event"] == "database_not_durable"]
    assert [(each["setting"], each["overridden"]) for each in found] == told


async def test_prepare_database_refuses_one_in_which_nothing_can_be_changed(
    database_dsn: str,
) -> None:
    """Such as a standby, whose locks are not the primary's: it would be ready, and do nothing."""
    dsn = f"{database_dsn}&default_transaction_read_only=on"
    async with open_database(dsn, log=quiet_log()) as database:
        with pytest.raises(DatabaseUnavailable, match=r"database\.dsn is read-only: a standby"):
            await prepare_database(Config(), OLD, database, None, quiet_log())


@pytest.mark.parametrize("upgraded", [True, False])
async def test_prepare_database_tells_of_an_upgrade_where_it_refuses_the_rules(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, *, upgraded: bool
) -> None:
    """The earlier program no longer starts on it: restoring the rules is not enough."""

    async def refuse(*_arguments: object, **_log: object) -> None:
        raise RulesChangeRefused("no")

    dsn = await postgres.create_database_async()
    newest = shipped_migrations()[-1].version
    later = Migration(newest + 1, "later", "create table later (id bigint)")
    monkeypatch.setattr(database_start, "check_rules_change", refuse)
    if upgraded:
        monkeypatch.setattr(upgrade, "shipped_migrations", lambda: (*shipped_migrations(), later))
    async with open_database(dsn, log=quiet_log()) as database:
        with pytest.raises(RulesChangeRefused) as caught:
            await prepare_database(Config(), OLD, database, None, quiet_log())
    told = (
        f"the database has been upgraded from schema version {newest} to {newest + 1} all the same:"
        " the earlier version no longer starts on it"
    )
    assert getattr(caught.value, "__notes__", []) == ([told] if upgraded else [])
