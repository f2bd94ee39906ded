"""Live and passive accounts: activation, passivation, memory, and what a tick does to the loop.

    .venv/bin/python bench/core/live.py [--accounts 20000]

All accounts are activated by reads, a bounded number at a time. Then a task that repeatedly sleeps
a millisecond measures how late the loop wakes it, while the clock ticks for all of them. Then all
are passivated, as the sweep for idle ones does it. The floor of an activation is asyncpg reading
the same rows in batches of 512, that of a passivation as many bare Trio tasks that end because the
channel that each waits on was closed.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import asyncpg  # type: ignore[import-untyped]
import trio
import trio.testing

from actors.inventory import manager
from actors.inventory.messages import GetInventory
from actors.inventory.residents import Residents
from bench.core.figures import Figure, Report, parser, per_second, percentile, watch
from bench.core.stage import open_stage
from bench.seed import account_id

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from bench.core.figures import Watch
    from bench.core.stage import Stage

IN_FLIGHT = 512
BATCH = 512
SLICE = 32
"""How many accounts the idle sweep passivates before it lets other tasks run."""
TICKING_S = 5.0
RESTLESS = 1_000
"""How many may be live if every activation is to passivate another account."""


async def measure(options: argparse.Namespace) -> Report:
    """Measure the figures."""
    accounts: int = options.accounts
    report = Report(f"{accounts:,} live accounts")
    async with _stage_and_residents(accounts) as (stage, made):
        floor = await trio.to_thread.run_sync(lambda: asyncio.run(_floor(stage.dsn, accounts)))
        floor_figure = report.add(per_second("rows read by asyncpg alone", accounts, [floor]))
        await _loop_stall(report, "no account live")
        gc.collect()
        before = resident_kb()
        taken = await read_all(stage, accounts)
        activation = report.add(per_second("activation, by reads", accounts, [taken]))
        report.ratio("  asyncpg alone against it", floor_figure, activation)
        gc.collect()
        each_kb = (resident_kb() - before) / accounts
        report.add(Figure("memory of a live account", each_kb, "kB"))
        await _loop_stall(report, f"{accounts:,} live")
        again = await read_all(stage, accounts)
        report.add(per_second("reads of live accounts, no token", accounts, [again]))
        gone = report.add(per_second("passivation", accounts, [await passivate_all(made[-1])]))
        bare = report.add(per_second("bare tasks that end", accounts, [await end_tasks(accounts)]))
        report.ratio("  against passivation", bare, gone)
    config = {"inventory.live_max": RESTLESS, "inventory.idle_seconds": 86_400}
    async with open_stage(accounts=accounts, sessions=0, options=config) as stage:
        await read_all(stage, 2 * RESTLESS)
        gc.collect()
        before = resident_kb()
        both = await read_all(stage, accounts)
        report.add(per_second("activation and passivation of another", accounts, [both]))
        gc.collect()
        passive_kb = (resident_kb() - before) / accounts
        report.add(Figure("memory left by a passive account", passive_kb, "kB"))
    return report


async def read_all(stage: Stage, accounts: int) -> Watch:
    """Read each inventory once."""
    numbers = iter(range(accounts))

    async def worker() -> None:
        for number in numbers:
            await stage.gateway.inventory(GetInventory(account_id(number)))

    with watch() as taken:
        async with trio.open_nursery() as nursery:
            for _ in range(IN_FLIGHT):
                nursery.start_soon(worker)
    return taken


@asynccontextmanager
async def _stage_and_residents(accounts: int) -> AsyncIterator[tuple[Stage, list[Residents]]]:
    """Run a program that passivates no account; yield it with its live accounts, busy ones last."""
    made: list[Residents] = []

    def make(live_max: int) -> Residents:
        made.append(Residents(live_max))
        return made[-1]

    config = {"inventory.live_max": accounts + 1, "inventory.idle_seconds": 86_400}
    with mock.patch.object(manager, "Residents", make):
        async with open_stage(accounts=accounts, sessions=0, options=config) as stage:
            yield stage, made


async def passivate_all(residents: Residents) -> Watch:
    """Passivate every live account completely, in slices as `actors.inventory.manager` does."""
    gc.collect()
    with watch() as taken:
        while len(residents):
            residents.remove_some(SLICE)
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
    return taken


async def end_tasks(count: int) -> Watch:
    """End ``count`` tasks that each wait on their own channel."""

    async def wait(receive: trio.MemoryReceiveChannel[None]) -> None:
        async for _ in receive:
            pass

    async with trio.open_nursery() as nursery:
        sends: list[trio.MemorySendChannel[None]] = []
        for _ in range(count):
            send, receive = trio.open_memory_channel[None](1)
            nursery.start_soon(wait, receive)
            sends.append(send)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        with watch() as taken:
            for first in range(0, count, SLICE):
                for send in sends[first : first + SLICE]:
                    send.close()
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked()
    return taken


async def _loop_stall(report: Report, label: str) -> None:
    """Report how late a sleeping task was woken; by CPU time: how long this process was busy.

    The time that the kernel kept this thread waiting for a busy core is also reported separately,
    because it says nothing about this program.
    """
    late: list[float] = []
    own: list[float] = []
    busy: list[float] = []
    end = trio.current_time() + TICKING_S
    while trio.current_time() < end:
        began, used, waited = time.perf_counter(), time.process_time(), _waited_for_core_s()
        await trio.sleep(0.001)
        late.append(1000 * (time.perf_counter() - began) - 1)
        busy.append(1000 * (time.process_time() - used))
        own.append(late[-1] - 1000 * (_waited_for_core_s() - waited))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0)):
        told = f"loop late while it ticks, {label}: {name}"
        report.add(Figure(told, percentile(late, share), "ms", percentile(busy, share)))
        if name != "p50":
            report.add(Figure("  without waiting for a core", percentile(own, share), "ms"))


def _waited_for_core_s() -> float:
    """Return how long this thread has been runnable but not running, since it began."""
    told = Path("/proc/thread-self/schedstat").read_text(encoding="ascii")
    return int(told.split()[1]) / 1e9


async def _floor(dsn: str, accounts: int) -> Watch:
    connection: Any = await asyncpg.connect(dsn)
    try:
        with watch() as taken:
            for first in range(0, accounts, BATCH):
                ids = [account_id(n) for n in range(first, min(accounts, first + BATCH))]
                await connection.fetch(
                    "select * from inventories where account_id = any($1::uuid[])", ids
                )
                await connection.fetch(
                    "select * from orders where account_id = any($1::uuid[]) "
                    "and state in ('queued', 'running')",
                    ids,
                )
    finally:
        await connection.close()
    return taken


def resident_kb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main() -> None:
    """Run it as a command."""
    made = parser(__doc__)
    made.add_argument("--accounts", type=int, default=20_000)
    options = made.parse_args()
    trio.run(measure, options).write(options.json)


if __name__ == "__main__":
    main()
