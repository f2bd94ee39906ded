"""What `prune` removes, and what it never does, on a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import trio

from actors.database.driver import open_database
from actors.storage.pruning import DAY_MS, KEYS, ORDERS, Prunable, prune
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection, Database
    from actors.database.session import Session
    from tests.postgres import PostgresServer

NOW_MS: Final = 400 * DAY_MS
DAYS: Final = 30
EDGE_MS: Final = NOW_MS - DAYS * DAY_MS
ROWS: Final = 1_000
"""Rows of each kind, so that each table has many blocks."""

WORLD = """
insert into world (name, world_id, tick, now_ms, ruleset, version)
values ('w', gen_random_uuid(), 1, $1::bigint, 'r', 1)
"""
FILL_KEYS = """
insert into idempotency
select gen_random_uuid(), n::text, '', jsonb_build_object('some', repeat('x', 200)),
    $1::bigint + n * $2::bigint
from generate_series(1, $3::int) as n
"""
FILL_ORDERS = """
insert into orders (order_id, account_id, seq, asset, kind, queue, level, cost, refund,
    duration_ms, state, placed_ms, finishes_ms, version)
select gen_random_uuid(), gen_random_uuid(), n, 'mine', 'building', 'q', 1, '{}', '[1, 1]', 0,
    $1, $2::bigint, $3::bigint, 1
from generate_series(1, $4::int) as n
"""


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncGenerator[Database]:
    """Yield a database whose world has come to `NOW_MS`."""
    dsn = await postgres.create_database_async()
    async with open_database(dsn, log=quiet_log()) as database:
        connection = await database.connect(name="fill")
        await connection.run(lambda session: session.execute(WORLD, NOW_MS))
        yield database


@pytest.fixture
async def connection(database: Database) -> Connection:
    """Return a connection to it."""
    return await database.connect(name="test")


async def do(connection: Connection, sql: str, *arguments: object) -> int:
    """Run a statement; return the number it yields."""
    number: int = await connection.run(lambda session: session.fetchval(sql, *arguments))
    return number


async def count(connection: Connection, what: Prunable) -> int:
    """Count the rows of a table."""
    return await do(connection, f"select count(*) from {what.table}")  # noqa: S608 - own name


async def test_keys_go_by_when_they_were_used_first(connection: Connection) -> None:
    """Keys of exactly that many days ago stay, as do all younger ones."""
    await do(connection, FILL_KEYS, EDGE_MS - ROWS, 0, ROWS)
    await do(connection, FILL_KEYS, EDGE_MS, 0, ROWS)
    assert await prune(connection, KEYS, DAYS) == ROWS
    assert await count(connection, KEYS) == ROWS
    assert await do(connection, "select min(at_ms) from idempotency") == EDGE_MS


@pytest.mark.parametrize(("granted_ms", "stays"), [(EDGE_MS - 1, 0), (EDGE_MS, 1)])
async def test_keys_of_grants_go_by_the_grant(
    connection: Connection, granted_ms: int, stays: int
) -> None:
    """Earlier ones bear the moment at which the account was suspended."""
    await do(connection, FILL_KEYS, 0, 0, 1)
    sql = "update idempotency set response = jsonb_build_object('grant', $1::text::jsonb)"
    await do(connection, sql, f'{{"at_ms": {granted_ms}}}')
    assert await prune(connection, KEYS, DAYS) == 1 - stays
    assert await count(connection, KEYS) == stays


@pytest.mark.parametrize("piece_blocks", [1, 7, 100_000])
async def test_pieces_add_up(connection: Connection, piece_blocks: int) -> None:
    """However large the rows, no old one is skipped, and the progress comes to its end."""
    await do(connection, FILL_KEYS, EDGE_MS - ROWS // 2, 1, ROWS)
    told: list[tuple[int, int]] = []
    gone = await prune(
        connection,
        KEYS,
        DAYS,
        piece_blocks=piece_blocks,
        on_piece=lambda done, of: told.append((done, of)),
    )
    assert gone == ROWS // 2 - 1
    assert await count(connection, KEYS) == ROWS - gone
    blocks = told[-1][1]
    assert blocks > 20
    assert told == [
        (min(done, blocks), blocks)
        for done in range(piece_blocks, blocks + piece_blocks, piece_blocks)
    ]


@pytest.mark.parametrize(
    ("state", "placed_ms", "finishes_ms", "goes"),
    [
        ("completed", 0, EDGE_MS - 1, True),
        ("completed", 0, EDGE_MS, False),
        ("cancelled", EDGE_MS - 1, None, True),
        ("cancelled", EDGE_MS, None, False),
        ("cancelled", 0, NOW_MS, False),
        ("completed", EDGE_MS - 1, 0, True),
        ("completed", EDGE_MS, 0, False),
        ("queued", 0, None, False),
        ("running", 0, 1, False),
    ],
)
async def test_orders_go_that_are_over(
    connection: Connection, state: str, placed_ms: int, finishes_ms: int | None, *, goes: bool
) -> None:
    """By the latest moment they name; pending ones stay, however old."""
    await do(connection, FILL_ORDERS, state, placed_ms, finishes_ms, 3)
    assert await prune(connection, ORDERS, DAYS) == (3 if goes else 0)
    assert await count(connection, ORDERS) == (0 if goes else 3)


async def test_to_count_changes_nothing(connection: Connection) -> None:
    """The same number comes out, and all rows stay."""
    await do(connection, FILL_KEYS, 0, 0, ROWS)
    assert await prune(connection, KEYS, DAYS, remove=False, piece_blocks=3) == ROWS
    assert await count(connection, KEYS) == ROWS


async def test_a_world_that_has_not_begun_has_nothing_old(connection: Connection) -> None:
    """Without a clock nothing has an age."""
    await do(connection, FILL_KEYS, -DAY_MS, 0, 1)
    await do(connection, "delete from world")
    assert await prune(connection, KEYS, 1) == 0
    assert await count(connection, KEYS) == 1


async def test_what_another_is_removing_is_left_to_them(
    database: Database, connection: Connection
) -> None:
    """It does not wait for an erasure that holds a row; the other rows go."""
    await do(connection, FILL_KEYS, 0, 0, ROWS)
    other = await database.connect(name="other")

    async def remove_some(session: Session) -> None:
        await session.execute("begin")
        await session.execute("delete from idempotency where key in ('1', '500')")

    await other.run(remove_some)
    with trio.fail_after(10):
        assert await prune(connection, KEYS, DAYS, timeout_s=5) == ROWS - 2
    await other.run(lambda session: session.execute("rollback"))
    assert await count(connection, KEYS) == 2
    assert await prune(connection, KEYS, DAYS) == 2


async def test_cancelled_it_can_be_begun_again(connection: Connection) -> None:
    """The finished pieces are gone, the rest is there, and goes the next time."""
    await do(connection, FILL_KEYS, 0, 0, ROWS)
    with trio.CancelScope() as scope:
        await prune(
            connection, KEYS, DAYS, piece_blocks=5, on_piece=lambda _done, _of: scope.cancel()
        )
    assert scope.cancelled_caught
    left = await count(connection, KEYS)
    assert 0 < left < ROWS
    assert await prune(connection, KEYS, DAYS) == left
    assert await count(connection, KEYS) == 0


@pytest.mark.parametrize("what", [KEYS, ORDERS])
async def test_a_piece_reads_its_blocks_alone(connection: Connection, what: Prunable) -> None:
    """The plan reads the blocks of the piece, not the table or an index."""
    await do(connection, FILL_KEYS, 0, 0, 5 * ROWS)
    await do(connection, FILL_ORDERS, "completed", 0, 0, 5 * ROWS)
    await connection.run(lambda session: session.execute("analyze"))
    plan = await connection.run(
        lambda session: session.fetch(f"explain {what.sql(remove=True)}", NOW_MS, 10, 20)
    )
    text = "\n".join(row[0] for row in plan)
    assert f"Tid Range Scan on {what.table}" in text
    assert "Seq Scan" not in text
