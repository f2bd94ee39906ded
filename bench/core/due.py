"""Ten thousand orders that finish at the same moment, of accounts whose owners are away.

    .venv/bin/python bench/core/due.py [--orders 10000]

Every account has one running order; all are due at one moment of world time. The figure is how
long after that the last of them was completed in the database. The floor is PostgreSQL completing
the same rows in one statement each for orders, ledger and inventories.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import trio

from bench.core.figures import Figure, Report, parser, watch
from bench.core.stage import open_stage

if TYPE_CHECKING:
    import argparse

LEAD_S = 8.0
"""How long before the orders are due seeding begins; seeding and the start must fit into it."""
GIVE_UP_S = 120.0
POLL_S = 0.05
_LEFT = "select count(*) from orders where state = 'running'"


async def measure(options: argparse.Namespace) -> Report:
    """Measure the figures."""
    report = Report(f"{options.orders:,} orders due at the same moment")
    lead = timedelta(seconds=LEAD_S + options.orders / 5_000)
    due_at = datetime.now(UTC) + lead
    async with open_stage(accounts=options.orders, sessions=0, due_at=due_at) as stage:
        world = await stage.gateway.world()
        ahead_s = due_at.timestamp() - world.now_ms / 1000
        if ahead_s < 0.5:
            raise SystemExit("the machine was too slow to have everything ready in time")
        # World time advances with the wall clock, one tick at a time.
        due = time.monotonic() + ahead_s
        await trio.sleep(ahead_s - 0.1)
        with watch() as taken:
            done = await trio.to_thread.run_sync(lambda: asyncio.run(_wait(stage.dsn)))
        report.add(Figure("until the last was completed", done - due, "s", taken.cpu_s))
        tick_s = world.tick_ms / 1000
        report.add(Figure("  of that at most until the tick that brought it", tick_s, "s"))
        floor = await trio.to_thread.run_sync(lambda: asyncio.run(_floor(stage.dsn)))
        report.add(Figure("PostgreSQL alone, in three statements", floor, "s"))
    return report


async def _wait(dsn: str) -> float:
    connection: Any = await asyncpg.connect(dsn)
    try:
        end = time.monotonic() + GIVE_UP_S
        while time.monotonic() < end:
            if await connection.fetchval(_LEFT) == 0:
                return time.monotonic()
            await asyncio.sleep(POLL_S)
    finally:
        await connection.close()
    raise SystemExit("orders are still running, long after they were due")


async def _floor(dsn: str) -> float:
    """Do what a completion does to copies of the rows, in statements over all of them."""
    connection: Any = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "create table due_orders (like orders including all);"
            "create table due_ledger (like ledger including all);"
            "create table due_inventories (like inventories including all);"
            "insert into due_orders select * from orders;"
            "insert into due_inventories select * from inventories;"
        )
        began = time.perf_counter()
        async with connection.transaction():
            await connection.execute(
                "update due_orders set state = 'completed', delivered = 1, version = version + 1"
            )
            await connection.execute(
                "insert into due_ledger (account_id, seq, at_ms, cause, order_id, changes) "
                "select account_id, 3, finishes_ms, 'unit-completed', order_id, "
                "jsonb_build_object(asset, jsonb_build_array(1, 1)) from due_orders"
            )
            await connection.execute(
                "update due_inventories set version = version + 1, next_due_ms = null, "
                "ledger_seq = ledger_seq + 1, state = jsonb_set(state, '{units}', '{\"cart1\": 1}')"
            )
        return time.perf_counter() - began
    finally:
        await connection.close()


def main() -> None:
    """Run it as a command."""
    made = parser(__doc__)
    made.add_argument("--orders", type=int, default=10_000)
    options = made.parse_args()
    trio.run(measure, options).write(options.json)


if __name__ == "__main__":
    main()
