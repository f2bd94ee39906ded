"""What similar operations have in common is computed once."""

from __future__ import annotations

from datetime import UTC, datetime

from actors.storage import Create, Delete, Operation, Update
from actors.storage.forms import FORMS_MAX, Forms
from actors.storage.schema import declared_tables
from actors.storage.tables import Column, ColumnType, Table
from tests.actors.storage.support import new_entry, new_id, new_world

A = new_id()


def test_forms_are_the_same_for_operations_alike() -> None:
    """Values do not affect the form; kind, table, columns and an expected version do."""
    forms = Forms(declared_tables())
    [first, again, other] = [forms.cells(new_entry(A, seq))[0] for seq in (1, 2, 3)]
    assert first is again is other
    sets = {"tick": 1, "now_ms": 2}
    assert (
        forms.cells(Update("world", {"name": "a"}, sets))[0]
        is forms.cells(Update("world", {"name": "b"}, {"tick": 3, "now_ms": 4}))[0]
    )
    different: list[Operation] = [
        new_world("a"),
        Update("world", {"name": "a"}, sets),
        Update("world", {"name": "a"}, sets, 1),
        Update("world", {"name": "a"}, {"tick": 1}),
        Delete("world", {"name": "a"}),
        Delete("world", {"name": "a"}, 1),
    ]
    assert len({forms.cells(operation)[0] for operation in different}) == len(different)


def test_cells_begin_with_the_key_whatever_the_order_of_the_values() -> None:
    """The first cells name the row; columns a new row was not given are null."""
    forms = Forms(declared_tables())
    form, cells = forms.cells(
        Create("ledger", {"changes": "{}", "cause": "c", "at_ms": 5, "seq": 7, "account_id": A})
    )
    assert form.key_of(cells) == (A, 7)
    assert cells == (A, 7, 5, "c", None, None, "{}")
    assert forms.cells(Update("ledger", {"seq": 7, "account_id": A}, {"at_ms": 1}))[1] == (A, 7, 1)
    assert forms.cells(Delete("world", {"name": "w"}, 3))[1] == ("w", 3)


def test_cells_of_a_table_of_one_column_are_a_row_like_any_other() -> None:
    """A single value is not taken for the row itself."""
    forms = Forms({"t": Table("t", (Column("k", ColumnType.TEXT),), ("k",))})
    assert forms.cells(Create("t", {"k": "abc"}))[1] == ("abc",)
    assert forms.cells(Delete("t", {"k": "abc"}))[1] == ("abc",)


def test_arguments_are_a_column_of_cells_each() -> None:
    """A type without an array as text is passed as it is, for the driver to write."""
    table = Table("t", (Column("k", ColumnType.TEXT), Column("at", ColumnType.TIMESTAMP)), ("k",))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    form, cells = Forms({"t": table}).cells(Create("t", {"at": now, "k": "a"}))
    assert cells == ("a", now)
    assert form.arguments([("a", now), ("b", now)]) == ['{"a","b"}', [now, now]]
    assert "$1::text::text[], $2::timestamptz[]" in form.sql


def test_together_counts_the_parameters_of_several_forms_on() -> None:
    """The same forms share one text, with a separate parameter for every column of each."""
    forms = Forms(declared_tables())
    delete, _ = forms.cells(Delete("ledger", {"account_id": A, "seq": 1}))
    update, _ = forms.cells(Update("world", {"name": "w"}, {"tick": 1}, 2))
    text = forms.together((delete, update)).sql
    assert text == forms.together((delete, update)).sql
    assert "unnest($1::text::uuid[], $2::text::bigint[])" in text
    assert "unnest($3::text::text[], $4::text::bigint[], $5::text::bigint[])" in text


def test_forms_that_are_remembered_are_bounded() -> None:
    """Whatever is requested, no more than the bound is kept, and results stay the same."""
    names = [f"c{number}" for number in range(FORMS_MAX + 3)]
    columns = [Column(name, ColumnType.BIGINT) for name in ("k", *names)]
    forms = Forms({"t": Table("t", tuple(columns), ("k",))})
    made = [forms.cells(Update("t", {"k": 1}, {name: 2}))[0] for name in names]
    again, cells = forms.cells(Update("t", {"k": 1}, {names[0]: 2}))
    assert again is not made[0]
    assert again.sql == made[0].sql
    assert cells == (1, 2)
    texts = [forms.together((form,)).sql for form in made]
    assert forms.together((again,)).sql == texts[0]
    assert len(set(texts)) == len(made)
