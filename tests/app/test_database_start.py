"""What a start finds out about its database."""

from __future__ import annotations

import pytest
from structlog.testing import LogCapture

from actors.database.driver import open_database
from app.config import Config
from app.database_start import prepare_database
from tests.app.test_rules_change import OLD
from tests.postgres import quiet_log

ORDINARY = [("fsync", False), ("full_page_writes", False)]
"""What the server of the tests is told: nobody will miss its data."""


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
    """What is off on the server is told once, at the start, and whether that matters here."""
    capture = LogCapture()
    log = quiet_log(capture)
    async with open_database(f"{database_dsn}&{role}", log=log) as database:
        await prepare_database(Config(), OLD, database, None, log)
    found = [each for each in capture.entries if each["event"] == "database_not_durable"]
    assert [(each["setting"], each["overridden"]) for each in found] == told
