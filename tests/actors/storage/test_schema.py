"""The declared tables against the migrated database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from actors.storage.schema import declared_tables
from tests.postgres import run_script

if TYPE_CHECKING:
    from actors.database.session import Record, Session

_COLUMNS = """
select attname as name, format_type(atttypid, null) as type, attnotnull as not_null
from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
order by attnum
"""

_KEY = """
select attname as name
from pg_index
cross join lateral unnest(indkey::int2[]) with ordinality as k (number, place)
join pg_attribute on attrelid = indrelid and attnum = k.number
where indrelid = $1::text::regclass and indisprimary
order by place
"""

_TYPE_NAMES = {"timestamptz": "timestamp with time zone"}


async def asked(dsn: str, sql: str, table: str) -> list[Record]:
    """Query a table."""

    async def script(session: Session) -> list[Record]:
        return await session.fetch(sql, table)

    return await run_script(dsn, script)


@pytest.mark.parametrize("name", declared_tables())
async def test_schema_declares_the_columns_of_the_database(database_dsn: str, name: str) -> None:
    """A declared table has exactly the columns, types and nullability the migrations gave it."""
    declared = {
        (column.name, _TYPE_NAMES.get(column.type.value, column.type.value), not column.nullable)
        for column in declared_tables()[name].columns
    }
    migrated = {
        (row["name"], row["type"], row["not_null"])
        for row in await asked(database_dsn, _COLUMNS, name)
    }
    assert declared == migrated


@pytest.mark.parametrize("name", declared_tables())
async def test_schema_declares_the_primary_key_of_the_database(
    database_dsn: str, name: str
) -> None:
    """A declared key is the primary key, in its order."""
    migrated = tuple(row["name"] for row in await asked(database_dsn, _KEY, name))
    assert declared_tables()[name].key == migrated
