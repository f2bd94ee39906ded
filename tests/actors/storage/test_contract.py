"""What Storage promises, on PostgreSQL and on the in-memory twin alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from actors.storage import (
    Acknowledged,
    Conflict,
    Create,
    Delete,
    Duplicate,
    Operation,
    Read,
    Refused,
    Row,
    Update,
)
from tests.actors.storage.support import (
    FOREVER_S,
    GatedEngine,
    Running,
    new_entry,
    new_id,
    new_order,
    new_world,
    outcome_of,
    running_storage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.storage.engine import Engine


async def world(running: Running, name: str) -> Row | None:
    """Read one world."""
    [rows] = await running.client.read(Read("world", where={"name": name}))
    return rows[0] if rows else None


async def in_one_batch(engine: Engine, *units: Sequence[Operation]) -> list[object]:
    """Commit units in one batch; return each outcome: None, or the type of its error."""
    gated = GatedEngine(engine)
    gated.gate.set()
    outcomes: list[object] = []
    async with running_storage(gated) as running:
        gated.shut()
        _, first = running.client.submit(new_world(new_id()))
        await wait_all_tasks_blocked()
        pending = [running.client.submit(*unit)[1] for unit in units]
        await wait_all_tasks_blocked()
        gated.gate.set()
        await first.wait(FOREVER_S)
        outcomes.extend([await outcome_of(each) for each in pending])
    assert len(gated.batches[1]) == len(units)
    return outcomes


# --------------------------------------------------------------------- one row


async def test_create_makes_a_row_at_version_one(running: Running) -> None:
    """A created row reads back as it was given, with version 1."""
    name, world_id = new_id(), new_id()
    await running.client.commit(new_world(name, 7, world_id=world_id, ruleset="ä \N{SNOWMAN} '\""))
    assert await world(running, name) == {
        "name": name,
        "world_id": world_id,
        "tick": 7,
        "now_ms": 0,
        "ruleset": "ä \N{SNOWMAN} '\"",
        "version": 1,
    }


async def test_create_keeps_every_type_of_value(running: Running) -> None:
    """Bytes, JSON, nulls, times and the extremes of bigint come back as they went in."""
    account, order = new_id(), new_id()
    await running.client.commit(
        Create(
            "idempotency",
            {
                "account_id": account,
                "key": "k",
                "fingerprint": b"\x00\xff",
                "response": '{"a": [1, null, "é"]}',
                "at_ms": 2**63 - 1,
            },
        ),
        new_entry(account, 1, at_ms=-(2**63 - 1), order_id=order),
        Create(
            "audit",
            {
                "audit_id": order,
                "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
                "actor": "a",
                "action": "b",
                "subject": "c",
                "reason": "d",
                "detail": "[]",
            },
        ),
    )
    [keys], [entries], [audits] = await running.client.read(
        Read("idempotency", where={"account_id": account}),
        Read("ledger", where={"account_id": account}),
        Read("audit", where={"audit_id": order}),
    )
    assert keys["fingerprint"] == b"\x00\xff"
    assert json.loads(keys["response"]) == {"a": [1, None, "é"]}
    assert keys["at_ms"] == 2**63 - 1
    assert entries["at_ms"] == -(2**63 - 1)
    assert (entries["order_id"], entries["transfer_id"]) == (order, None)
    assert audits["at"] == datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_create_of_a_row_that_exists_is_duplicate(running: Running) -> None:
    """A second row with the same key is refused, and the first one stays."""
    name = new_id()
    await running.client.commit(new_world(name, 1))
    with pytest.raises(Duplicate) as caught:
        await running.client.commit(new_world(name, 2))
    assert caught.value.table == "world"
    row = await world(running, name)
    assert row is not None
    assert (row["tick"], row["version"]) == (1, 1)


async def test_update_changes_what_it_names_and_counts_the_version(running: Running) -> None:
    """An update leaves the other columns alone; the version rises by one."""
    name = new_id()
    await running.client.commit(new_world(name, 1))
    await running.client.commit(Update("world", {"name": name}, {"tick": 2, "now_ms": 9}))
    await running.client.commit(Update("world", {"name": name}, {"tick": 3}, version=2))
    row = await world(running, name)
    assert row is not None
    assert (row["tick"], row["now_ms"], row["ruleset"], row["version"]) == (3, 9, "r", 3)


@pytest.mark.parametrize("version", [0, 2, 99])
async def test_update_of_another_version_is_conflict(running: Running, version: int) -> None:
    """A stale or future version changes nothing."""
    name = new_id()
    await running.client.commit(new_world(name, 1))
    with pytest.raises(Conflict) as caught:
        await running.client.commit(Update("world", {"name": name}, {"tick": 2}, version))
    assert caught.value.table == "world"
    row = await world(running, name)
    assert row is not None
    assert (row["tick"], row["version"]) == (1, 1)


@pytest.mark.parametrize("version", [None, 1])
async def test_update_or_delete_of_an_absent_row_is_conflict(
    running: Running, version: int | None
) -> None:
    """An absent row cannot be changed, whether or not a version is expected."""
    with pytest.raises(Conflict):
        await running.client.commit(Update("world", {"name": "nowhere"}, {"tick": 2}, version))
    with pytest.raises(Conflict):
        await running.client.commit(Delete("world", {"name": "nowhere"}, version))


async def test_update_of_a_nullable_column_sets_and_clears_it(running: Running) -> None:
    """Null is a value like any other if the column allows it."""
    account, order = new_id(), new_id()
    await running.client.commit(new_entry(account, 1))
    key = {"account_id": account, "seq": 1}
    for value in (order, None):
        await running.client.commit(Update("ledger", key, {"order_id": value}))
        [[row]] = await running.client.read(Read("ledger", where=key))
        assert row["order_id"] == value


async def test_update_of_a_column_that_is_read_by_is_seen(running: Running) -> None:
    """A row that changes hands is found under its new owner and not under the old one."""
    old, new, order = new_id(), new_id(), new_id()
    await running.client.commit(new_order(old, order_id=order))
    await running.client.commit(Update("orders", {"order_id": order}, {"account_id": new}))
    of_old, of_new = await running.client.read(
        Read("orders", where={"account_id": old}), Read("orders", where={"account_id": new})
    )
    assert (len(of_old), len(of_new)) == (0, 1)


@pytest.mark.parametrize("version", [None, 1])
async def test_delete_removes_the_row(running: Running, version: int | None) -> None:
    """A deleted row is gone, and may be created again at version 1."""
    name = new_id()
    await running.client.commit(new_world(name))
    await running.client.commit(Delete("world", {"name": name}, version))
    assert await world(running, name) is None
    await running.client.commit(new_world(name))
    row = await world(running, name)
    assert row is not None
    assert row["version"] == 1


async def test_delete_of_another_version_is_conflict(running: Running) -> None:
    """A row of another version is not deleted."""
    name = new_id()
    await running.client.commit(new_world(name))
    with pytest.raises(Conflict):
        await running.client.commit(Delete("world", {"name": name}, version=2))
    assert await world(running, name) is not None


# --------------------------------------------------------------------- units


@pytest.mark.parametrize("bad_first", [True, False])
async def test_unit_is_all_or_nothing(running: Running, bad_first: bool) -> None:
    """One operation that fails undoes all others of its unit, whatever its position."""
    account, name = new_id(), new_id()
    bad = Update("world", {"name": "nowhere"}, {"tick": 1})
    good = [new_world(name), new_entry(account, 1), new_entry(account, 2)]
    unit = [bad, *good] if bad_first else [*good, bad]
    with pytest.raises(Conflict):
        await running.client.commit(*unit)
    rows = await running.client.read(
        Read("world", where={"name": name}), Read("ledger", where={"account_id": account})
    )
    assert rows == [[], []]


async def test_unit_commits_operations_of_every_kind_together(running: Running) -> None:
    """Creates, updates and deletes on several tables are one unit."""
    kept, gone, account = new_id(), new_id(), new_id()
    await running.client.commit(new_world(kept), new_world(gone))
    await running.client.commit(
        Update("world", {"name": kept}, {"tick": 5}, 1),
        Delete("world", {"name": gone}, 1),
        new_entry(account, 1),
    )
    row = await world(running, kept)
    assert row is not None
    assert row["tick"] == 5
    assert await world(running, gone) is None
    assert await running.client.read(Read("ledger", ("seq",), {"account_id": account})) == [
        [{"seq": 1}]
    ]


async def test_batch_failing_units_leave_their_neighbours_committed(engine: Engine) -> None:
    """In one commit, failing units fail alone, each with its own error; the others commit."""
    there, account = new_id(), new_id()
    assert await in_one_batch(engine, [new_world(there)]) == [None]
    names = [new_id() for _ in range(3)]
    outcomes = await in_one_batch(
        engine,
        [new_world(names[0])],
        [new_world(there), new_entry(account, 1)],
        [new_world(names[1])],
        [Update("world", {"name": there}, {"tick": 9}, version=7), new_entry(account, 2)],
        [new_world(names[2]), new_entry(account, 3)],
        [Delete("world", {"name": "nowhere"})],
    )
    assert outcomes == [None, Duplicate, None, Conflict, None, Conflict]
    async with running_storage(engine) as running:
        worlds, entries = await running.client.read(
            Read("world", within={"name": (*names, there)}),
            Read("ledger", ("seq",), {"account_id": account}),
        )
    assert {row["name"] for row in worlds} == {*names, there}
    assert all(row["version"] == 1 for row in worlds)
    assert entries == [{"seq": 3}]


async def test_batch_units_on_one_row_apply_in_order(engine: Engine) -> None:
    """Units of one commit that touch the same row see each other's effects, in order."""
    name = new_id()
    key = {"name": name}
    outcomes = await in_one_batch(
        engine,
        [new_world(name)],
        [Update("world", key, {"tick": 1}, 1)],
        [Update("world", key, {"tick": 2}, 2)],
        [Update("world", key, {"tick": 99}, 2)],
        [Update("world", key, {"tick": 3, "now_ms": 3}, 3)],
        [Delete("world", key, 4)],
        [new_world(name, 50)],
        [new_world(name, 60)],
    )
    assert outcomes == [None, None, None, Conflict, None, None, None, Duplicate]
    async with running_storage(engine) as running:
        row = await world(running, name)
    assert row is not None
    assert (row["tick"], row["version"]) == (50, 1)


async def test_batch_failing_unit_leaves_no_trace_for_the_next(engine: Engine) -> None:
    """A unit after a failing one sees nothing of it, not even its valid operations."""
    first, second = new_id(), new_id()
    assert await in_one_batch(engine, [new_world(first), new_world(second)]) == [None]
    outcomes = await in_one_batch(
        engine,
        [
            Update("world", {"name": first}, {"tick": 1}, 1),
            Update("world", {"name": second}, {"tick": 1}, 99),
        ],
        [Update("world", {"name": first}, {"tick": 2}, 1)],
        [Update("world", {"name": second}, {"tick": 2}, 1)],
    )
    assert outcomes == [Conflict, None, None]
    async with running_storage(engine) as running:
        for name in (first, second):
            row = await world(running, name)
            assert row is not None
            assert (row["tick"], row["version"]) == (2, 2)


async def test_batch_unit_that_builds_on_a_failing_one_fails_too(engine: Engine) -> None:
    """A unit that changes a row a failing unit would have created has nothing to change."""
    name = new_id()
    outcomes = await in_one_batch(
        engine,
        [new_world(name), Delete("world", {"name": "nowhere"})],
        [Update("world", {"name": name}, {"tick": 2})],
        [new_world(name, 3)],
        [Update("world", {"name": name}, {"tick": 4}, 1)],
    )
    assert outcomes == [Conflict, Conflict, None, None]


# --------------------------------------------------------------------- reads


@pytest.fixture
async def account(running: Running) -> str:
    """Make a ledger of nine entries: seq 1..9, at 10..90, every third with an order."""
    account = new_id()
    await running.client.commit(
        *(
            new_entry(
                account, n, at_ms=10 * n, cause="abc"[n % 3], order_id=None if n % 3 else new_id()
            )
            for n in range(1, 10)
        )
    )
    return account


async def seqs(running: Running, account: str, **read: Any) -> list[int]:
    """Return the seq of each ledger entry that a read finds."""
    where = {"account_id": account, **read.pop("where", {})}
    [rows] = await running.client.read(Read("ledger", ("seq",), where, **read))
    return [row["seq"] for row in rows]


@pytest.mark.parametrize(
    ("read", "found"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"where": {"seq": 4}}, [4]),
        ({"where": {"cause": "a"}}, [3, 6, 9]),
        ({"where": {"order_id": None, "cause": "b"}}, [1, 4, 7]),
        ({"where": {"order_id": None}, "above": ("seq", 6)}, [7, 8]),
        ({"within": {"cause": ("a", "b")}}, [1, 3, 4, 6, 7, 9]),
        ({"within": {"cause": ("a", "b"), "seq": (1, 2, 3)}}, [1, 3]),
        ({"where": {"cause": "a"}, "within": {"cause": ("a", "b")}}, [3, 6, 9]),
        ({"where": {"cause": "c"}, "within": {"cause": ("a", "b")}}, []),
        ({"within": {"cause": ()}}, []),
        ({"above": ("seq", 7)}, [8, 9]),
        ({"at_most": ("at_ms", 20)}, [1, 2]),
        ({"above": ("seq", 3), "at_most": ("seq", 5)}, [4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"above": ("seq", 3), "limit": 2}, [4, 5]),
        ({"limit": 10_000}, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
async def test_read_finds_what_all_conditions_hold_for(
    running: Running, account: str, read: dict[str, Any], found: list[int]
) -> None:
    """where, within, above (exclusive), at_most (inclusive) and limit narrow what is read."""
    assert await seqs(running, account, order_by="seq", **read) == found


async def test_read_orders_by_one_column_either_way(running: Running, account: str) -> None:
    """Rows come ordered by a column, or in reverse, before the limit cuts them off."""
    assert await seqs(running, account, order_by="seq", descending=True, limit=3) == [9, 8, 7]
    [up] = await running.client.read(
        Read("ledger", ("cause",), {"account_id": account}, order_by="cause")
    )
    assert [row["cause"] for row in up] == list("aaabbbccc")


async def test_read_orders_nulls_last_and_text_by_code_point(running: Running) -> None:
    """Nulls come last (first in reverse); text follows no locale's order."""
    account = new_id()
    order = new_id()
    causes = ["b", "A", "a", "B", "é", "_"]
    await running.client.commit(
        *(new_entry(account, n, cause=cause) for n, cause in enumerate(causes, 1)),
        new_entry(account, 99, cause="zz", order_id=order),
    )
    assert await seqs(running, account, order_by="cause") == [2, 4, 6, 3, 1, 99, 5]
    assert (await seqs(running, account, order_by="order_id"))[0] == 99
    assert (await seqs(running, account, order_by="order_id", descending=True))[-1] == 99


async def test_read_bounds_pass_over_nulls(running: Running) -> None:
    """A null is neither above nor at most anything."""
    account = new_id()
    await running.client.commit(new_order(account, finishes_ms=None))
    where = {"account_id": account}
    assert await running.client.read(
        Read("orders", where=where, above=("finishes_ms", 0)),
        Read("orders", where=where, at_most=("finishes_ms", 10)),
        Read("orders", ("seq",), {**where, "finishes_ms": None}),
    ) == [[], [], [{"seq": 1}]]


async def test_read_gives_the_columns_asked_for_or_all(running: Running, account: str) -> None:
    """A row has the named columns, or all of them if none is named."""
    [some], [everything] = await running.client.read(
        Read("ledger", ("cause", "seq"), {"account_id": account, "seq": 3}),
        Read("ledger", (), {"account_id": account, "seq": 3}),
    )
    assert some == {"cause": "a", "seq": 3}
    assert everything.keys() == {
        "account_id",
        "seq",
        "at_ms",
        "cause",
        "order_id",
        "transfer_id",
        "changes",
    }


async def test_read_answers_each_read_of_a_query_in_order(running: Running, account: str) -> None:
    """A query has one list of rows for each of its reads, even for the same read twice."""
    other = new_id()
    await running.client.commit(new_entry(other, 1))
    reads = [
        Read("ledger", where={"account_id": each}, order_by="seq")
        for each in (other, account, "0" * 8 + "-0000-0000-0000-" + "0" * 12, account, other)
    ]
    answers = await running.client.read(*reads)
    assert [len(rows) for rows in answers] == [1, 9, 0, 9, 1]
    assert [row["seq"] for row in answers[1]] == list(range(1, 10))
    assert {row["account_id"] for row in answers[4]} == {other}


async def test_read_of_null_twice_in_a_query_finds_it_twice(running: Running, account: str) -> None:
    """Reads that are answered together find nulls as a lone one does."""
    lone = Read("ledger", where={"order_id": None, "account_id": account})
    together = await running.client.read(lone, lone)
    assert [len(rows) for rows in together] == [6, 6]


async def test_read_sees_what_was_answered_as_committed(running: Running) -> None:
    """Once told that a unit is durable, a caller reads its effect."""
    name = new_id()
    await running.client.commit(new_world(name))
    for tick in range(1, 6):
        await running.client.commit(Update("world", {"name": name}, {"tick": tick}, tick))
        row = await world(running, name)
        assert row is not None
        assert row["tick"] == tick


async def test_read_rows_do_not_change_after_they_were_given(running: Running) -> None:
    """A row that was read is a snapshot."""
    name = new_id()
    await running.client.commit(new_world(name, 1))
    before = await world(running, name)
    await running.client.commit(Update("world", {"name": name}, {"tick": 2}))
    assert before is not None
    assert (before["tick"], before["version"]) == (1, 1)


# --------------------------------------------------------------------- the two replies


async def test_submit_acknowledges_before_the_result(engine: Engine) -> None:
    """The instant reply comes during the commit; the result after it."""
    gated = GatedEngine(engine)
    async with running_storage(gated) as running:
        ack, result = running.client.submit(new_world(new_id()))
        assert await ack.wait(FOREVER_S) == Acknowledged()
        settled: list[object] = []

        async def wait() -> None:
            settled.append(await result.wait(FOREVER_S))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert settled == []
            gated.gate.set()
        assert settled == [None]


async def test_submit_malformed_is_refused_in_both_replies(engine: Engine) -> None:
    """A malformed unit is refused at once, whole, and never reaches the engine."""
    gated = GatedEngine(engine)
    async with running_storage(gated) as running:
        ack, result = running.client.submit(new_world(new_id()), new_world(new_id(), tick=2**63))
        with pytest.raises(Refused) as caught:
            await ack.wait(FOREVER_S)
        assert caught.value.faults == (("world.tick", "is out of range"),)
        with pytest.raises(Refused):
            await result.wait(FOREVER_S)
    assert gated.batches == []
