"""The cost of a request by load: the same server from idle to its maximum.

    .venv/bin/python bench/rates.py

Few requests at a time cost more CPU time each than many: they share less, from a commit to the
CPU caches. This shows by how much, so that nobody takes a half-busy server for one that can do
twice as much. The world, the work, the generator and the assignment of cores are the contest's;
requests come due at random moments (open loop), except for the first line (closed loop).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import msgspec
import trio

from bench.contest import MIXES, Arena, bounded, fresh_database, opened, phase, planned
from bench.contestants import HOLDFAST, Place, serving
from bench.results import WARM, Phase, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)
"""The loads, as shares of the server's maximum."""
TOLD = ("p50", "p99")


def measure(arena: Arena, mix: str, number: int) -> Iterator[Phase]:
    """Start the server, and raise the load step by step; in every second round lower it."""
    with (
        fresh_database(arena, f"rates_{number}") as dsn,
        tempfile.TemporaryDirectory(dir=arena.directory) as name,
    ):
        directory = Path(name)
        place = Place(dsn, str(arena.cluster.socket_dir), arena.key, directory, arena.server_cores)
        with serving(HOLDFAST, place) as running:
            plans = planned(arena, HOLDFAST, directory, running.port, number)
            phase(arena, WARM, plans[WARM], running.pid)
            most = phase(arena, "all", plans[mix], running.pid)
            yield most
            for share in SHARES if number % 2 == 0 else reversed(SHARES):
                label = f"{share:.3f}"
                plan = msgspec.structs.replace(
                    plans[mix], rate=share * most.outcome.per_second, run=f"{label}-{number}"
                )
                yield phase(arena, label, plan, running.pid)


def line(phases: list[Phase], seconds: float) -> str:
    """Format the medians of one share's measurements for people."""
    asked = median(each.rate for each in phases)
    cells = (
        f"{asked:,.0f}" if asked else "all",
        f"{median(each.outcome.per_second for each in phases):,.0f}",
        f"{100 * median(each.server_cpu_s for each in phases) / seconds:.0f} %",
        " + ".join(f"{median(each.cpu_us()[part] for each in phases):.0f}" for part in (0, 1)),
        *(f"{median(each.outcome.latency_ms['all'][p] for each in phases):.1f}" for p in TOLD),
    )
    return _row(cells)


def _row(cells: tuple[str, ...]) -> str:
    return "".join(f"{cell:>26}" for cell in cells)


async def run(options: argparse.Namespace) -> int:
    """Measure and report."""
    found: dict[str, list[Phase]] = {}

    def rounds() -> None:
        for number in range(options.rounds):
            for measured in measure(arena, options.mix, number):
                found.setdefault(measured.label, []).append(measured)

    async with opened(options.seconds, warm_up_s=0.3) as arena:
        await trio.to_thread.run_sync(rounds)
    titles = ("requests/s that come", "answered/s", "of the core", "us: server + PostgreSQL")
    print(_row((*titles, "p50, ms", "p99, ms")))
    for label in ("all", *(f"{share:.3f}" for share in reversed(SHARES))):
        print(line(found[label], options.seconds))
    faults = [fault for phases in found.values() for each in phases for fault in faults_of(each)]
    for fault in faults:
        print(f"VOID: {fault}")
    return 1 if faults else 0


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mix", choices=list(MIXES), default="mixed")
    return trio.run(run, bounded(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
