"""An authenticated durable order, and a cached read, inside the process: without HTTP.

    .venv/bin/python bench/core/order.py [--in-flight 256] [--each 16] [--profile]

Each of ``--in-flight`` tasks asks for one thing after another, as the HTTP front would: the token
is verified, then the account's Inventory is asked. The reported CPU time is this process's,
without PostgreSQL's. The floors: for a read, bare Trio tasks that look into two dictionaries; for
an order, bare Trio tasks that each ask two others in turn, and for wall time, PostgreSQL alone,
writing the rows of as many orders as are in flight in one transaction. The last figure is what an
order leaves in the database.
"""

from __future__ import annotations

import asyncio
import cProfile
import itertools
import pstats
import time
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import trio

from actors.inventory.messages import PlaceOrder
from bench.core.figures import Figure, Report, parser, per_second, rounds_of
from bench.core.stage import open_stage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from bench.core.stage import Stage

    Ask = Callable[[Stage, str, int], Awaitable[None]]

FINGERPRINT = b"\x00" * 16
PROFILE_LINES = 45


async def order(stage: Stage, token: str, number: int) -> None:
    """Place one order; returns when it is durable."""
    caller = await stage.gateway.authorize(token)
    command = PlaceOrder(
        caller.account_id, f"cart{1 + number % 8}", 1, f"order-{number:012d}", FINGERPRINT
    )
    await stage.gateway.inventory(command)


async def read(stage: Stage, token: str, _number: int) -> None:
    """Read an inventory that is in memory."""
    caller = await stage.gateway.authorize(token)
    await stage.gateway.look(caller.account_id)


async def ask_all(
    stage: Stage, ask: Ask, in_flight: int, each: int, numbers: Iterator[int]
) -> None:
    """Ask ``each`` times in each of ``in_flight`` tasks, of one account after another."""
    tokens = [token for _, token in stage.tokens]

    async def worker(first: int) -> None:
        for step in range(each):
            await ask(stage, tokens[(first + step * in_flight) % len(tokens)], next(numbers))

    async with trio.open_nursery() as nursery:
        for first in range(in_flight):
            nursery.start_soon(worker, first)


async def bare_reads(stage: Stage, in_flight: int, each: int) -> None:
    """Look up an account by token and a value by account, in ``in_flight`` tasks."""
    accounts = {token: account for account, token in stage.tokens}
    kept = {account: object() for account in accounts.values()}
    tokens = [token for _, token in stage.tokens]

    async def worker(first: int) -> None:
        for step in range(each):
            assert kept[accounts[tokens[(first + step * in_flight) % len(tokens)]]]
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for first in range(in_flight):
            nursery.start_soon(worker, first)


async def bare_orders(in_flight: int, each: int) -> None:
    """Ask two tasks in turn, through memory channels, in ``in_flight`` tasks."""

    async def actor(receive: trio.MemoryReceiveChannel[trio.MemorySendChannel[None]]) -> None:
        async for back in receive:
            back.send_nowait(None)

    async def worker(asked: list[trio.MemorySendChannel[trio.MemorySendChannel[None]]]) -> None:
        for _ in range(each):
            for one in asked:
                back, answer = trio.open_memory_channel[None](1)
                await one.send(back)
                await answer.receive()

    async with trio.open_nursery() as actors:
        asked: list[trio.MemorySendChannel[trio.MemorySendChannel[None]]] = []
        for _ in range(2):
            send, receive = trio.open_memory_channel[trio.MemorySendChannel[None]](in_flight)
            actors.start_soon(actor, receive)
            asked.append(send)
        async with trio.open_nursery() as nursery:
            for _ in range(in_flight):
                nursery.start_soon(worker, asked)
        for send in asked:
            send.close()


FLOOR = (
    """
    insert into floor_orders (order_id, account_id, seq, asset, kind, queue, count, cost, refund,
                              duration_ms, state, placed_ms, version)
    select uuidv7(), account_id, (state ->> 'order_seq')::bigint + 1, 'cart1', 'unit', 'yard1', 1,
           '{"gold": 3}', '[1,1]', 86400000, 'queued', at_ms, 1 from floor_inventories
    """,
    """
    insert into floor_ledger (account_id, seq, at_ms, cause, changes)
    select account_id, ledger_seq + 1, at_ms, 'order-placed', '{"gold": [-3, 999999997]}'
    from floor_inventories
    """,
    """
    insert into floor_idempotency (account_id, key, fingerprint, response, at_ms)
    select account_id, uuidv7()::text, '\\x00112233445566778899aabbccddeeff',
           jsonb_build_object('order', account_id), at_ms from floor_inventories
    """,
    """
    update floor_inventories set version = version + 1, ledger_seq = ledger_seq + 1,
           state = jsonb_set(state, '{order_seq}', to_jsonb((state ->> 'order_seq')::bigint + 1))
    """,
)
"""What an order stores, for one order of every account in copies of the tables."""

SIZES = """
select relname, pg_total_relation_size(oid) from pg_class
where relname in ('orders', 'ledger', 'idempotency') order by relname
"""


async def stored_alone(dsn: str, in_flight: int, each: int) -> float:
    """Return how long PostgreSQL takes to store these orders, ``in_flight`` in a commit."""
    connection: Any = await asyncpg.connect(dsn)
    try:
        for table in ("orders", "ledger", "idempotency", "inventories"):
            await connection.execute(f"create table floor_{table} (like {table} including all)")
        await connection.execute(
            "insert into floor_inventories select * from inventories limit $1", in_flight
        )
        began = time.perf_counter()
        for _ in range(each):
            async with connection.transaction():
                for statement in FLOOR:
                    await connection.execute(statement)
        return time.perf_counter() - began
    finally:
        await connection.close()


async def database_sizes(dsn: str) -> dict[str, int]:
    """Return the bytes of the tables that an order fills, with their indexes."""
    connection: Any = await asyncpg.connect(dsn)
    try:
        return dict(await connection.fetch(SIZES))
    finally:
        await connection.close()


async def on_disk(report: Report, stage: Stage, options: argparse.Namespace, each: int) -> None:
    """Add what an order leaves in the database, from one more round."""

    async def sizes() -> dict[str, int]:
        return await trio.to_thread.run_sync(lambda: asyncio.run(database_sizes(stage.dsn)))

    before = await sizes()
    await ask_all(stage, order, options.in_flight, each, itertools.count(10**9))
    for table, size in (await sizes()).items():
        stored = (size - before[table]) / (options.in_flight * each)
        report.add(Figure(f"an order leaves in {table}, with its indexes", stored, "B"))


async def measure(options: argparse.Namespace) -> Report:
    """Measure the figures."""
    report = Report("an order and a read inside the process")
    told: dict[Ask, Figure] = {}
    numbers = itertools.count()
    async with open_stage(accounts=options.accounts, sessions=options.accounts) as stage:
        # Every account is activated first, and every token seen once.
        warm = -(-options.accounts // options.in_flight)
        await ask_all(stage, order, options.in_flight, warm, numbers)
        for name, ask, each in (
            ("authenticated cached read", read, 2 * options.each),
            ("authenticated durable order", order, options.each),
        ):

            async def run(ask: Ask = ask, each: int = each) -> None:
                await ask_all(stage, ask, options.in_flight, each, numbers)

            rounds = await rounds_of(run, options.rounds)
            label = f"{name}, {options.in_flight} in flight"
            told[ask] = report.add(per_second(label, options.in_flight * each, rounds))
            if options.profile:
                await profile(run)
        await floors(report, stage, options, told)
        await on_disk(report, stage, options, 4 * options.each)
    return report


async def floors(
    report: Report, stage: Stage, options: argparse.Namespace, told: Mapping[Ask, Figure]
) -> None:
    """Add the figures of bare Trio and of PostgreSQL alone."""
    in_flight, each = options.in_flight, options.each
    bare = await rounds_of(lambda: bare_reads(stage, in_flight, 2 * each), options.rounds)
    floor = report.add(
        per_second("a read on bare Trio: two dictionaries", 2 * in_flight * each, bare)
    )
    report.ratio("  against the read", floor, told[read])
    bare = await rounds_of(lambda: bare_orders(in_flight, each), options.rounds)
    floor = report.add(per_second("an order on bare Trio: two questions", in_flight * each, bare))
    report.ratio("  against the order", floor, told[order])
    alone_s = await trio.to_thread.run_sync(
        lambda: asyncio.run(stored_alone(stage.dsn, in_flight, each))
    )
    floor = Figure("PostgreSQL alone, as many in a commit", in_flight * each / alone_s, "/s")
    report.ratio("  against the order", report.add(floor), told[order])


async def profile(run: Callable[[], Awaitable[None]]) -> None:
    """Run it once more under the profiler, which slows everything down, and print."""
    profiler = cProfile.Profile()
    profiler.enable()
    await run()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(PROFILE_LINES)


def main() -> None:
    """Run it as a command."""
    made = parser(__doc__)
    made.add_argument("--in-flight", type=int, default=256)
    made.add_argument("--each", type=int, default=16, help="orders of each task in each round")
    made.add_argument("--accounts", type=int, default=4_096)
    made.add_argument("--profile", action="store_true", help="and where the time goes (cProfile)")
    options = made.parse_args()
    trio.run(measure, options).write(options.json)


if __name__ == "__main__":
    main()
