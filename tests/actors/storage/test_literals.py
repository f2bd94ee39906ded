"""Columns of values as text that PostgreSQL reads back unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.storage.literals import ARRAY_LITERALS, array_of
from actors.storage.tables import Column, ColumnType
from tests.postgres import run_script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.database.session import Session

IDS = ("00000000-0000-7000-8000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff")
NASTY = (
    "",
    "NULL",
    "null",
    "{}",
    '{"a": "\\\\\\""}',
    "\\",
    '"',
    ",",
    " a ",
    "\n\t",
    "{,}",
    "é\U0001f600",
)
TEXTS = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
) | st.sampled_from(NASTY)
COLUMNS: dict[ColumnType, st.SearchStrategy[Any]] = {
    ColumnType.UUID: st.sampled_from(IDS),
    ColumnType.TEXT: TEXTS,
    ColumnType.BIGINT: st.integers(-(2**63) + 1, 2**63 - 1),
    ColumnType.BYTES: st.binary(max_size=12),
    ColumnType.JSON: TEXTS.filter(lambda text: Column("", ColumnType.JSON).fault(text) is None),
}


def literal(type_: ColumnType, values: Sequence[object]) -> str:
    """Write a column of values: the same text whether the column may be null or not."""
    text = ARRAY_LITERALS[type_, True](values)
    assert None in values or ARRAY_LITERALS[type_, False](values) == text
    return text


@pytest.mark.parametrize(
    ("type_", "values", "text"),
    [
        (ColumnType.BIGINT, (1, None, -2), "{1,null,-2}"),
        (ColumnType.BIGINT, (1,), "{1}"),
        (ColumnType.UUID, (IDS[0], None), f"{{{IDS[0]},NULL}}"),
        (ColumnType.TEXT, ("a", "", 'b"\\'), '{"a","","b\\"\\\\"}'),
        (ColumnType.TEXT, ("NULL", None), '{"NULL",NULL}'),
        (ColumnType.JSON, ('{"a":1}', None, "null"), '{"a":1}\x1e\x1f\x1enull'),
        (ColumnType.BYTES, (b"\x00\xff", None, b""), '{"\\\\x00ff",NULL,"\\\\x"}'),
    ],
)
def test_literal_quotes_what_could_be_taken_for_something_else(
    type_: ColumnType, values: tuple[object, ...], text: str
) -> None:
    """No value can end its element, and the word NULL is not null."""
    assert literal(type_, values) == text


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_literal_of_any_values_is_read_back_as_they_were(
    database_dsn: str, data: st.DataObject
) -> None:
    """The server splits a column into the very values it was made of."""
    count = data.draw(st.integers(1, 5))
    given_ = {
        type_: data.draw(st.lists(st.none() | cells, min_size=count, max_size=count))
        for type_, cells in COLUMNS.items()
    }

    async def read_back(session: Session) -> None:
        for type_, values in given_.items():
            text = f"select {array_of(type_, '$1')}"
            assert await session.fetchval(text, literal(type_, values)) == values

    await run_script(database_dsn, read_back)
