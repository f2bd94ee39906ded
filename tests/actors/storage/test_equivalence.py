"""Any units and reads come out the same on PostgreSQL and on the in-memory twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.storage import Delete, Operation, Read, Update
from actors.storage.memory import MemoryEngine
from actors.storage.schema import declared_tables
from actors.storage.validation import query_faults, row_of, unit_faults
from tests.actors.storage.conftest import postgres_engine
from tests.actors.storage.support import new_entry, new_world
from tests.postgres import run_script

if TYPE_CHECKING:
    from actors.storage.engine import Engine, Unit

TABLES = declared_tables()
ACCOUNTS = [f"00000000-0000-7000-8000-00000000000{n}" for n in range(2)]
NAMES = st.sampled_from(["a", "b", "C"])
SMALL = st.integers(1, 3)
VERSIONS = st.none() | st.integers(1, 3)
WORLD_KEYS = st.fixed_dictionaries({"name": NAMES})
LEDGER_KEYS = st.fixed_dictionaries({"account_id": st.sampled_from(ACCOUNTS), "seq": SMALL})


def row_touched(operation: Operation) -> tuple[object, ...]:
    """Name the row that an operation touches."""
    return row_of(operation, TABLES[operation.table])


OPERATIONS: st.SearchStrategy[Operation] = st.one_of(
    st.builds(new_world, NAMES, SMALL, world_id=st.just(ACCOUNTS[0])),
    st.builds(
        Update,
        st.just("world"),
        WORLD_KEYS,
        st.fixed_dictionaries({"tick": SMALL}, optional={"now_ms": SMALL}),
        VERSIONS,
    ),
    st.builds(Delete, st.just("world"), WORLD_KEYS, VERSIONS),
    st.builds(
        new_entry,
        st.sampled_from(ACCOUNTS),
        SMALL,
        order_id=st.none() | st.sampled_from(ACCOUNTS),
    ),
    st.builds(
        Update,
        st.just("ledger"),
        LEDGER_KEYS,
        st.fixed_dictionaries({"order_id": st.none() | st.sampled_from(ACCOUNTS)}),
    ),
    st.builds(Delete, st.just("ledger"), LEDGER_KEYS),
)
UNITS: st.SearchStrategy[Unit] = st.lists(
    OPERATIONS, min_size=1, max_size=4, unique_by=row_touched
).map(tuple)
BATCHES = st.lists(st.lists(UNITS, min_size=1, max_size=8), min_size=1, max_size=4)

WORLD_READS = st.builds(
    Read,
    st.just("world"),
    where=st.fixed_dictionaries({}, optional={"name": NAMES, "tick": SMALL}),
    within=st.fixed_dictionaries({}, optional={"name": st.lists(NAMES).map(tuple)}),
    above=st.none() | st.tuples(st.just("version"), SMALL),
    order_by=st.just("name"),
    descending=st.booleans(),
    limit=st.none() | SMALL,
)
LEDGER_READS = st.builds(
    Read,
    st.just("ledger"),
    where=st.fixed_dictionaries(
        {"account_id": st.sampled_from(ACCOUNTS)},
        optional={"seq": SMALL, "order_id": st.none() | st.sampled_from(ACCOUNTS)},
    ),
    at_most=st.none() | st.tuples(st.just("seq"), SMALL),
    order_by=st.just("seq"),
    limit=st.none() | SMALL,
)
READS = st.lists(WORLD_READS | LEDGER_READS, max_size=6)


async def carried_out(engine: Engine, batches: list[list[Unit]], reads: list[Read]) -> Any:
    """Carry out batches and reads; return the outcomes, the answers, and all rows at the end.

    Which of a unit's several faults is reported is open: only a lone operation has its own.
    """
    outcomes: list[object] = []
    for batch in batches:
        assert not any(unit_faults(unit, TABLES) for unit in batch)
        for unit, outcome in zip(batch, await engine.commit(batch), strict=True):
            outcomes.append(repr(outcome) if len(unit) == 1 else outcome is None)
    assert not query_faults(reads, TABLES)
    answers = await engine.read(reads)
    rows = await engine.read([Read("world", order_by="name"), Read("ledger")])
    entries = sorted(map(dict, rows[1]), key=lambda row: (row["account_id"], row["seq"]))
    return outcomes, answers, rows[0], entries


@given(batches=BATCHES, reads=READS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_engines_agree_on_any_units_and_reads(
    database_dsn: str, batches: list[list[Unit]], reads: list[Read]
) -> None:
    """Both engines give the same outcomes, answers and rows; batching changes none of them."""
    in_memory = await carried_out(MemoryEngine(TABLES), batches, reads)
    await run_script(database_dsn, lambda session: session.execute("truncate world, ledger"))
    async with postgres_engine(database_dsn) as engine:
        await engine.open()
        assert await carried_out(engine, batches, reads) == in_memory
    one_by_one = [[unit] for batch in batches for unit in batch]
    assert await carried_out(MemoryEngine(TABLES), one_by_one, reads) == in_memory
