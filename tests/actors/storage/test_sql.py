"""How units become a few statements, and reads one."""

from __future__ import annotations

import pytest

from actors.storage import Create, Delete, Operation, Read, Update, sql
from actors.storage.forms import Forms
from actors.storage.schema import LEDGER, declared_tables
from tests.actors.storage.support import new_entry, new_id, new_world

TABLES = declared_tables()
A, B = new_id(), new_id()


def planned(*units: list[Operation]) -> list[tuple[int, str, str, list[int]]]:
    """Plan units; return wave, kind, table and owners of each statement."""
    statements = sql.plan([tuple(unit) for unit in units], Forms(TABLES))
    return [(s.wave, s.form.kind.__name__, s.form.table.name, list(s.owners)) for s in statements]


def tick(name: str, tick: int = 1, version: int | None = None) -> Update:
    """Make an update of a world."""
    return Update("world", {"name": name}, {"tick": tick}, version)


def test_plan_makes_one_statement_of_all_operations_alike() -> None:
    """Any number of units on different rows are one statement for each form of operation."""
    units: list[list[Operation]] = [
        [tick(f"{n}", version=1), new_entry(A, n)] for n in range(1, 300)
    ]
    assert planned(*units) == [
        (0, "Update", "world", list(range(299))),
        (0, "Create", "ledger", list(range(299))),
    ]


def test_plan_parts_operations_by_kind_table_columns_and_version() -> None:
    """Operations that cannot be one statement are several."""
    assert planned(
        [tick("a")],
        [tick("b", version=1)],
        [Update("world", {"name": "c"}, {"now_ms": 1})],
        [Delete("world", {"name": "d"})],
        [Delete("world", {"name": "e"}, 1)],
        [new_world("f")],
        [new_entry(A, 1)],
        [tick("g")],
    ) == [
        (0, "Update", "world", [0, 7]),
        (0, "Update", "world", [1]),
        (0, "Update", "world", [2]),
        (0, "Delete", "world", [3]),
        (0, "Delete", "world", [4]),
        (0, "Create", "world", [5]),
        (0, "Create", "ledger", [6]),
    ]


def test_plan_puts_units_that_share_a_row_into_successive_waves() -> None:
    """The second unit on a row comes after the first; unrelated units stay together."""
    assert planned(
        [tick("a")], [tick("b")], [tick("a")], [tick("a"), tick("b")], [tick("b")], [tick("c")]
    ) == [
        (0, "Update", "world", [0, 1, 5]),
        (1, "Update", "world", [2]),
        (2, "Update", "world", [3, 3]),
        (3, "Update", "world", [4]),
    ]


def test_plan_of_rows_with_keys_alike_in_two_tables_needs_one_wave() -> None:
    """A row belongs to its table."""
    history: dict[str, object] = {"version": "v", "name": "n", "content": "c"}
    found = planned([new_world("v")], [Create("ruleset_archive", history)])
    assert {wave for wave, *_ in found} == {0}


def test_plan_binds_every_value_and_quotes_every_name() -> None:
    """Values never reach the text of a statement."""
    evil = "'; drop table world; --"
    [statement] = sql.plan([(new_world(evil),)], Forms(TABLES))
    assert evil not in statement.form.sql
    assert f'{{"{evil}"}}' in statement.arguments()
    text, arguments = sql.select(
        Read("ledger", where={"cause": evil}, within={"cause": (evil,)}), LEDGER
    )
    assert evil not in text
    assert arguments == [evil, [evil]]


def test_untouched_names_the_unit_of_each_row_that_is_missing() -> None:
    """Rows that a statement did not touch are traced to their units, even with repeated keys."""
    [statement] = sql.plan([(new_entry(A, 1),), (new_entry(A, 2), new_entry(B, 1))], Forms(TABLES))
    assert list(sql.untouched(statement, [])) == [0, 1, 1]
    assert list(sql.untouched(statement, [(A, 2)])) == [0, 1]
    assert list(sql.untouched(statement, [(B, 1), (A, 1), (A, 2)])) == []


@pytest.mark.parametrize(
    ("read", "column"),
    [
        (Read("ledger", where={"account_id": A}), "account_id"),
        (Read("ledger", where={"account_id": A, "seq": 1}, order_by="seq"), "account_id"),
        (Read("ledger", where={"order_id": None, "seq": 1}), "seq"),
        (Read("ledger", where={"order_id": None}), None),
        (Read("ledger", where={"seq": 1}, within={"seq": (1, 2)}), None),
        (Read("ledger", where={"seq": 1}, within={"cause": ("a",)}), "seq"),
        (Read("ledger"), None),
        (Read("ledger", ("seq",), where={"account_id": A}), None),
        (Read("ledger", where={"account_id": A}, limit=1), None),
        (Read("ledger", where={"account_id": A}, above=("seq", 1)), None),
        (Read("ledger", where={"account_id": A}, at_most=("seq", 1)), None),
    ],
)
def test_mergeable_names_the_column_by_which_answers_can_be_told_apart(
    read: Read, column: str | None
) -> None:
    """Reads are merged only if each row shows whose answer it belongs to."""
    assert sql.mergeable(read) == column


def test_select_many_keeps_every_other_condition() -> None:
    """The merged statement keeps every condition that the reads have in common."""
    read = Read(
        "ledger", where={"account_id": A, "cause": "a"}, within={"seq": (1, 2)}, order_by="seq",
        descending=True,
    )  # fmt: skip
    text, arguments = sql.select_many("account_id", [A, B], read, LEDGER)
    assert arguments == ["a", [A, B], [1, 2]]
    assert text.endswith(
        '"cause" = $1::text and "account_id" = any($2::uuid[]) and "seq" = any($3::bigint[])'
        ' order by "seq" desc'
    )


def test_select_orders_text_by_code_point_whatever_the_databases_locale() -> None:
    """Only text has a locale, and is freed from it; other columns keep their indexes' order."""
    by_text, _ = sql.select(Read("ledger", order_by="cause", descending=True), LEDGER)
    by_number, _ = sql.select(Read("ledger", order_by="seq", limit=3), LEDGER)
    assert by_text.endswith(' order by "cause" collate "C" desc')
    assert by_number.endswith(' order by "seq" limit 3')
