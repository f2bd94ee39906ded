"""Group commit by the number of waiting units, against single commits.

    .venv/bin/python bench/core/commit.py

A unit is one whole order. The engine commits that many at a time; the floor is asyncpg alone with
one transaction for each order, statement by statement, like code without group commit.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from actors.database.cluster import Cluster
from actors.database.driver import open_database
from actors.database.embedded import embedded_postgres
from actors.database.processes import cluster_processes
from actors.inventory.ruleset import load_ruleset
from actors.storage import sql
from actors.storage.forms import Forms
from actors.storage.postgres import PostgresEngine
from actors.storage.schema import declared_tables
from bench.core.figures import Report, parser, per_second, watch
from bench.core.stage import pin, split_cores
from bench.core.units import Orders
from bench.seed import MARKET, quiet_log, scratch, seed_data_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.database.driver import Connection, Session
    from actors.storage import Operation
    from bench.core.figures import Watch

GROUPS = (1, 4, 16, 64, 256, 1_024)
UNITS = 2_048
SINGLE = 256
ACCOUNTS = 2_048


@asynccontextmanager
async def engine() -> AsyncIterator[tuple[PostgresEngine, Connection]]:
    """Open Storage's engine, and a connection beside it, on a seeded database."""
    own, others = split_cores()
    with scratch("core") as directory:
        data_dir = directory / "data"
        await seed_data_dir(data_dir, accounts=ACCOUNTS, sessions=0)
        log = quiet_log()
        async with (
            embedded_postgres(data_dir, log=log) as dsn,
            open_database(dsn, connect_timeout_s=5, log=log) as database,
        ):
            pin(cluster_processes(Cluster.at(data_dir).path), others)
            pin([0], own)
            made = PostgresEngine(
                database, declared_tables(), read_connections=1, query_timeout_s=30, log=log
            )
            await made.open()
            connection = await database.connect(name="floor")
            yield made, connection
            await connection.aclose()
            await made.aclose()
            pin([0], own | others)


async def measure(rounds: int) -> Report:
    """Measure the figures."""
    report = Report("group commit, in orders")
    ruleset = load_ruleset(str(MARKET), parameters={})
    orders = Orders(ruleset, ACCOUNTS, time.time_ns() // 1_000_000)
    async with engine() as (made, connection):
        singles: list[Watch] = []
        for _ in range(rounds):
            scripts = [_Single(orders.next()) for _ in range(SINGLE)]
            with watch() as each:
                for script in scripts:
                    await connection.run(script, timeout_s=30)
            singles.append(each)
        floor = report.add(per_second("asyncpg, a transaction for each", SINGLE, singles))
        alone = None
        for group in GROUPS:
            count = SINGLE if group == 1 else UNITS
            taken = [await _commit(made, orders, group, count) for _ in range(rounds)]
            figure = report.add(per_second(f"{group:,} units in a commit", count, taken))
            alone = alone or figure
            if group == 256:
                report.ratio("  against one unit in a commit", figure, alone)
                report.ratio("  against asyncpg, a transaction each", figure, floor)
    return report


async def _commit(made: PostgresEngine, orders: Orders, group: int, count: int) -> Watch:
    """Commit ``count`` units made beforehand, ``group`` at a time."""
    batches = [[orders.next() for _ in range(group)] for _ in range(count // group)]
    with watch() as taken:
        for batch in batches:
            outcomes = await made.commit(batch)
            assert outcomes == [None] * group
    return taken


class _Single:
    """One order in a transaction of its own."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._statements = sql.plan([operations], Forms(declared_tables()))

    async def __call__(self, session: Session) -> None:
        async with session.transaction():
            for statement in self._statements:
                await session.execute(statement.form.sql, *statement.arguments())


def main() -> None:
    """Run it as a command."""
    options = parser(__doc__).parse_args()
    trio.run(measure, options.rounds).write(options.json)


if __name__ == "__main__":
    main()
