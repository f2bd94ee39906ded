"""What a snapshot promises: the world as of one moment, read page by page."""

from __future__ import annotations

import pytest

from actors.database.driver import open_database
from actors.storage import snapshot
from actors.storage.snapshot import LAST_ID, NIL_ID, open_snapshot
from tests.postgres import quiet_log


@pytest.mark.parametrize(
    ("page", "arguments"),
    [
        ("_INVENTORIES", (NIL_ID, 256)),
        ("_ENTRIES", (NIL_ID, 0, LAST_ID, 5_000)),
        ("_TRANSFERS", (NIL_ID, 5_000)),
    ],
)
async def test_snapshot_finds_each_page_by_its_keys(
    database_dsn: str, page: str, arguments: tuple[object, ...]
) -> None:
    """A page of a large world takes no longer: no table is read through for it."""
    sql = f"explain {getattr(snapshot, page)}"
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        async with open_snapshot(connection):
            rows = await connection.run(lambda session: session.fetch(sql, *arguments))
    plan = "\n".join(row[0] for row in rows)
    assert "Index" in plan
    assert "Seq Scan" not in plan
    assert "Hash" not in plan
