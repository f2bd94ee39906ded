"""Every fault that an operation can have, found before any I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.storage import Create, Delete, Operation, Read, Update
from actors.storage.schema import declared_tables
from actors.storage.soundness import SHAPES_MAX, Soundness
from actors.storage.tables import Column, ColumnType, Table, are_values
from actors.storage.validation import READ_LIMIT_MAX, query_faults, unit_faults
from tests.actors.storage.support import new_entry, new_id, new_world

TABLES = declared_tables()
SOUNDNESS = Soundness(TABLES)
ID = new_id()
KEY = {"name": "w"}


def faults_of(*operations: Operation) -> tuple[tuple[str, str], ...]:
    """Return the faults of a unit of the declared tables."""
    return unit_faults(operations, TABLES)


@pytest.mark.parametrize(
    ("operation", "where", "message"),
    [
        (Create("wrld", {}), "wrld", "unknown table"),
        (new_world("w", colour=1), "world.colour", "unknown column"),
        (Create("world", {}), "world.name", "is missing"),
        (new_world("w", ruleset=None), "world.ruleset", "must not be null"),
        (new_world("w", version=1), "world.version", "is counted by Storage itself"),
        (new_world("w", ruleset=1), "world.ruleset", "must be text"),
        (new_world("w", ruleset=b"r"), "world.ruleset", "must be text"),
        (new_world("w", ruleset="a\0b"), "world.ruleset", "must not contain NUL"),
        (new_world("w", ruleset="\ud800"), "world.ruleset", "must not contain surrogates"),
        (new_world("w", tick="1"), "world.tick", "must be an integer"),
        (new_world("w", tick=1.0), "world.tick", "must be an integer"),
        (new_world("w", tick=True), "world.tick", "must be an integer"),
        (new_world("w", tick=2**63), "world.tick", "is out of range"),
        (new_world("w", tick=-(2**63)), "world.tick", "is out of range"),
        (new_world("w", world_id="x"), "world.world_id", "must be a UUID as lower-case text"),
        (
            new_world("w", world_id=ID.upper()),
            "world.world_id",
            "must be a UUID as lower-case text",
        ),
        (new_world("w", world_id="z" * 36), "world.world_id", "must be a UUID as lower-case text"),
        (new_world("w", world_id=7), "world.world_id", "must be a UUID as lower-case text"),
        (
            new_world("w", world_id=f"{ID},{ID}"),
            "world.world_id",
            "must be a UUID as lower-case text",
        ),
        (new_entry(ID, 1, changes={}), "ledger.changes", "must be text"),
        (new_entry(ID, 1, changes="\0"), "ledger.changes", "must not contain NUL"),
        (new_entry(ID, 1, changes=""), "ledger.changes", "must be JSON"),
        (new_entry(ID, 1, changes="{}\x1e{}"), "ledger.changes", "must be JSON"),
        (new_entry(ID, 1, changes="\x1f"), "ledger.changes", "must be JSON"),
        (Update("world", KEY, {}), "world", "update without values"),
        (Update("world", KEY, {"name": "v"}), "world.name", "cannot be changed by an update"),
        (Update("world", KEY, {"version": 2}), "world.version", "cannot be changed by an update"),
        (Update("world", KEY, {"tick": None}), "world.tick", "must not be null"),
        (Update("world", KEY, {"colour": 1}), "world.colour", "unknown column"),
        (Update("world", {}, {"tick": 1}), "world", "the key is name"),
        (Update("world", {"tick": 1}, {"tick": 1}), "world", "the key is name"),
        (Update("world", {"name": 1}, {"tick": 1}), "world.name", "must be text"),
        (
            Update("ledger", {"account_id": ID}, {"at_ms": 1}),
            "ledger",
            "the key is account_id, seq",
        ),
        (
            Update("ledger", {"account_id": ID, "seq": 1}, {"at_ms": 1}, version=1),
            "ledger",
            "has no versions",
        ),
        (Delete("wrld", {}), "wrld", "unknown table"),
        (Delete("world", {}), "world", "the key is name"),
        (Delete("world", {"name": None}), "world.name", "must not be null"),
        (Delete("ledger", {"account_id": ID, "seq": 1}, 1), "ledger", "has no versions"),
        (Update("world", KEY, {"tick": 1}, version="1"), "world.version", "must be an integer"),  # type: ignore[arg-type]
        (Update("world", KEY, {"tick": 1}, version=2**63), "world.version", "is out of range"),
        (Delete("world", KEY, True), "world.version", "must be an integer"),
    ],
)
def test_unit_fault_names_the_place_and_what_is_wrong(
    operation: Operation, where: str, message: str
) -> None:
    """Each kind of fault is found at its place; a valid operation beside it has none."""
    assert (where, message) in faults_of(operation)
    assert faults_of(new_world("sound"), operation) == faults_of(operation)
    assert not SOUNDNESS.are_sound([(new_world("sound"),), (operation,)])


@pytest.mark.parametrize(
    ("value", "message"),
    [(1, "must be a time with its zone"), (datetime(2026, 1, 1), "must be a time with its zone")],  # noqa: DTZ001
)
def test_unit_fault_of_a_time(value: object, message: str) -> None:
    """A time needs its zone."""
    column = Column("at", ColumnType.TIMESTAMP)
    assert column.fault(value) == message
    assert column.fault(datetime(2026, 1, 1, tzinfo=UTC)) is None
    assert not are_values((column.type, False), (value,))
    assert are_values((column.type, False), (datetime(2026, 1, 1, tzinfo=UTC),))


def test_unit_fault_of_bytes() -> None:
    """Bytes are bytes, not text or an array of bytes."""
    column = Column("hash", ColumnType.BYTES)
    assert column.fault(b"") is None
    assert column.fault("text") == column.fault(bytearray()) == "must be bytes"
    assert are_values((column.type, False), (b"", b"x"))
    assert not are_values((column.type, False), (b"", "text"))


def test_unit_without_operations_is_a_fault() -> None:
    """An empty unit is its sender's mistake."""
    assert faults_of() == (("unit", "has no operation"),)


def test_unit_that_touches_a_row_twice_is_a_fault() -> None:
    """The meaning of a second operation on a row would be unclear: it is refused."""
    twice = ("world", "one unit may touch a row only once")
    assert faults_of(new_world("w"), Update("world", KEY, {"tick": 1})) == (twice,)
    assert faults_of(new_world("w"), new_world("w"), new_world("w")) == (twice, twice)
    assert faults_of(new_world("w"), new_world("v"), new_entry(ID, 1), new_entry(ID, 2)) == ()


def test_unit_tells_all_its_faults() -> None:
    """All faults of all operations are reported at once."""
    found = faults_of(new_world("w", tick="1", colour=2), Create("wrld", {}), Delete("world", {}))
    assert found == (
        ("world.tick", "must be an integer"),
        ("world.colour", "unknown column"),
        ("wrld", "unknown table"),
        ("world", "the key is name"),
    )


def test_unit_may_omit_nullable_columns_and_the_version() -> None:
    """Nullable columns may be missing; the version is Storage's own."""
    assert faults_of(new_entry(ID, 1), new_world("w")) == ()


def test_unversioned_table_may_have_a_column_named_version() -> None:
    """Only in tables whose versions Storage counts is that column reserved to Storage."""
    table = Table(
        "t", (Column("k", ColumnType.TEXT), Column("version", ColumnType.TEXT)), key=("k",)
    )
    unit = (
        Create("t", {"k": "a", "version": "x"}),
        Update("t", {"k": "b"}, {"version": "y"}),
    )
    assert unit_faults(unit, {"t": table}) == ()
    assert Soundness({"t": table}).are_sound([unit])


@pytest.mark.parametrize(
    ("read", "where", "message"),
    [
        (Read("wrld"), "wrld", "unknown table"),
        (Read("world", ("colour",)), "world.colour", "unknown column"),
        (Read("world", where={"colour": 1}), "world.colour", "unknown column"),
        (Read("world", where={"tick": "1"}), "world.tick", "must be an integer"),
        (Read("world", where={"name": None}), "world.name", "must not be null"),
        (Read("world", where={"world_id": ID.upper()}), "world.world_id",
         "must be a UUID as lower-case text"),
        (Read("world", within={"colour": (1,)}), "world.colour", "unknown column"),
        (Read("world", within={"tick": (1, "2")}), "world.tick", "must be an integer"),
        (Read("ledger", within={"order_id": (ID, None)}), "ledger.order_id",
         "cannot be compared with null"),
        (Read("world", above=("colour", 1)), "world.colour", "unknown column"),
        (Read("world", above=("tick", 2**63)), "world.tick", "is out of range"),
        (Read("world", at_most=("name", 1)), "world.name", "must be text"),
        (Read("world", order_by="colour"), "world.colour", "unknown column"),
        (Read("ledger", order_by="changes"), "ledger.changes", "cannot be compared"),
        (Read("ledger", where={"changes": "{}"}), "ledger.changes", "cannot be compared"),
        (Read("ledger", within={"changes": ("{}",)}), "ledger.changes", "cannot be compared"),
        (Read("world", limit=0), "world", f"limit must be from 1 to {READ_LIMIT_MAX}"),
        (Read("world", limit=READ_LIMIT_MAX + 1), "world",
         f"limit must be from 1 to {READ_LIMIT_MAX}"),
    ],
)  # fmt: skip
def test_read_fault_names_the_place_and_what_is_wrong(read: Read, where: str, message: str) -> None:
    """Each kind of fault of a read is found at its place."""
    assert query_faults([read], TABLES) == ((where, message),)


def test_read_of_everything_sound_has_no_fault() -> None:
    """A read that uses every part of its form is valid."""
    read = Read(
        "ledger",
        ("seq", "changes"),
        {"account_id": ID, "order_id": None},
        {"cause": ("a", "b"), "seq": ()},
        ("seq", 1),
        ("at_ms", 2),
        "seq",
        descending=True,
        limit=READ_LIMIT_MAX,
    )
    assert query_faults([read], TABLES) == ()


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
NAMES = st.sampled_from(["world", "ledger", "nowhere", "name", "tick", "account_id", "seq"])


@settings(max_examples=40)
@given(
    unit=st.lists(
        st.one_of(
            st.builds(Create, NAMES, st.dictionaries(NAMES, ANYTHING)),
            st.builds(
                Update, NAMES, st.dictionaries(NAMES, ANYTHING), st.dictionaries(NAMES, ANYTHING)
            ),
            st.builds(Delete, NAMES, st.dictionaries(NAMES, ANYTHING)),
        )
    )
)
def test_unit_of_anything_is_judged_and_never_raises(unit: list[Operation]) -> None:
    """Whatever values an operation holds, validation returns faults and never raises."""
    assert bool(unit_faults(unit, TABLES)) is not SOUNDNESS.are_sound([unit])


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [ID, f"{ID},{ID}", "", "a", "a\0", "\ud800", None, True, 1, 2**63]
)
ROWS = {
    "world": {"name": "w", "world_id": ID, "tick": 1, "now_ms": 1, "ruleset": "r"},
    "ledger": {"account_id": ID, "seq": 1, "at_ms": 1, "cause": "c", "changes": "{}"},
}


@st.composite
def nearly_sound(draw: st.DrawFn) -> Operation:
    """Make a valid operation, then apply a few random changes to it."""
    table = draw(st.sampled_from(sorted(ROWS)))
    key_names = TABLES[table].key
    row: dict[str, object] = dict(ROWS[table])
    key = {name: row[name] for name in key_names}
    change = {name: value for name, value in row.items() if name not in key_names}
    spoilt = draw(st.sampled_from([row, key, change]))
    for name in draw(
        st.lists(st.sampled_from([*row, "version", "order_id", "colour"]), max_size=2)
    ):
        if draw(st.booleans()):
            spoilt.pop(name, None)
        else:
            spoilt[name] = draw(VALUES)
    version = draw(st.sampled_from([None, 1]))
    kinds: list[Operation] = [
        Create(table, row),
        Update(table, key, change, version),
        Delete(table, key, version),
    ]
    return draw(st.sampled_from(kinds))


@settings(max_examples=300)
@given(units=st.lists(st.lists(nearly_sound(), max_size=2), max_size=3))
def test_units_are_sound_exactly_where_no_fault_of_one_can_be_named(
    units: list[list[Operation]],
) -> None:
    """The quick check, which nearly all units pass, and the explanation never disagree."""
    assert SOUNDNESS.are_sound(units) is not any(unit_faults(unit, TABLES) for unit in units)


def test_soundness_of_a_table_is_not_that_of_another_with_the_same_columns() -> None:
    """What is remembered belongs to the table, to what is done with it, and to its declaration."""

    def named(name: str, type_: ColumnType, *, nullable: bool = False) -> Table:
        return Table(name, (Column("k", type_), Column("v", type_, nullable)), ("k",))

    of_texts = named("a", ColumnType.TEXT)
    soundness = Soundness({"a": of_texts, "b": named("b", ColumnType.BIGINT, nullable=True)})
    text: dict[str, object] = {"k": "1", "v": "1"}
    number: dict[str, object] = {"k": 1, "v": None}
    for _ in range(2):
        assert soundness.are_sound([[Create("a", text), Create("b", number)]])
        assert not soundness.are_sound([[Create("a", number)]])
        assert not soundness.are_sound([[Create("b", text)]])
        assert not soundness.are_sound([[Delete("a", text)]])
        assert not soundness.are_sound([[Update("a", {"k": "1"}, text)]])
    assert not Soundness({"b": of_texts}).are_sound([[Create("b", number)]])


def test_soundness_is_the_same_however_many_shapes_were_seen() -> None:
    """What is remembered of the first is forgotten, and found again."""
    names = [f"c{number}" for number in range(SHAPES_MAX + 3)]
    columns = [Column(name, ColumnType.BIGINT) for name in ("k", *names)]
    soundness = Soundness({"t": Table("t", tuple(columns), ("k",))})
    for _ in range(2):
        for name in names:
            assert soundness.are_sound([[Update("t", {"k": 1}, {name: 2})]])
            assert not soundness.are_sound([[Update("t", {"k": 1}, {name: "2"})]])
