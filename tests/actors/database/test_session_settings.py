"""The settings every session gets at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.database.driver import open_database
from actors.database.session_settings import risky_settings
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from actors.database.session import Session


async def settings_of(
    dsn: str, *names: str, told: dict[str, str] | None = None
) -> tuple[str | None, ...]:
    """Read settings in a session whose role, in effect, has other ones than the server."""

    async def look(session: Session) -> tuple[str | None, ...]:
        query = "select current_setting($1)"
        return tuple([await session.fetchval(query, name) for name in names])

    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test", settings=told)
        return await connection.run(look)


@pytest.mark.parametrize(
    ("told", "holds"),
    [
        ("off", "on"),
        ("on", "on"),
        ("local", "local"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
async def test_session_confirms_nothing_before_it_is_on_the_disk(
    database_dsn: str, told: str, holds: str
) -> None:
    """A role or database that is set not to wait for the disk is overruled; all else is kept."""
    found = await settings_of(database_dsn, "synchronous_commit", told={"synchronous_commit": told})
    assert found == (holds,)


@pytest.mark.parametrize(("told", "holds"), [("0", "1s"), ("10s", "10s")])
async def test_session_that_works_notices_that_its_client_has_gone(
    database_dsn: str, told: str, holds: str
) -> None:
    """A server that does not check its clients is set to; one that does is left as it is."""
    name = "client_connection_check_interval"
    assert await settings_of(database_dsn, name, told={name: told}) == (holds,)


@pytest.mark.parametrize(
    ("name", "told", "holds"),
    [
        ("search_path", "elsewhere", "public"),
        ("array_nulls", "off", "on"),
        ("default_transaction_isolation", "repeatable read", "read committed"),
        ("default_transaction_isolation", "serializable", "read committed"),
    ],
)
async def test_session_reads_what_it_is_asked_as_it_is_meant(
    database_dsn: str, name: str, told: str, holds: str
) -> None:
    """Tables are those of the schema ``public``; NULL in an array is not the text NULL.

    A statement sees what was committed before it; locking a row sees it as it is then.
    """
    assert await settings_of(database_dsn, name, told={name: told}) == (holds,)


async def test_session_of_a_host_that_fell_silent_ends_soon(database_dsn: str) -> None:
    """The server probes its clients: a power cut holds the world, and a place, for a minute."""
    sql = "select count(*) from pg_settings where name like 'tcp%' and source = 'session'"
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="any")
        assert await connection.run(lambda session: session.fetchval(sql)) == 4


async def test_risky_settings_are_those_that_are_off(database_dsn: str) -> None:
    """The tests' server syncs nothing; a session's own setting does not hide its role's."""
    told = {"synchronous_commit": "off"}
    async with open_database(database_dsn, log=quiet_log()) as database:
        careful = await database.connect(name="careful")
        assert await careful.run(risky_settings) == ["fsync", "full_page_writes"]
        careless = await database.connect(name="careless", settings=told)
        assert await careless.run(risky_settings) == [
            "fsync",
            "full_page_writes",
            "synchronous_commit",
        ]
