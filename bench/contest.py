"""Holdfast against its peers: the same work on the same machine in the same minutes.

    make bench          in under two minutes
    make bench-full     longer, with more rounds

The server under test has one core to itself. The load generator and PostgreSQL have the others;
if there are only two, they share the second, for every contestant alike, and the table shows what
each used. bench/README.md describes the work and how to read the results. Writes JSON and a chart
to build/bench/.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]
import msgspec
import trio

from actors.database.cluster import Cluster
from actors.database.dsn import socket_dsn
from actors.database.embedded import embedded_postgres
from actors.database.processes import cluster_processes
from bench import chart, contestants, floors, results
from bench.contestants import (
    ALL,
    Contestant,
    Place,
    cpu_seconds,
    machine_seconds,
    on_cores,
    serving,
)
from bench.generator import Outcome, Plan
from bench.recount import read_answered, recount
from bench.results import Phase, Run
from bench.seed import quiet_log, scratch, seed_data_dir
from bench.serving import TREE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

MIXES: dict[str, tuple[float, float, float]] = {
    "reads": (0.0, 1.0, 0.0),
    "orders": (1.0, 0.0, 0.0),
    "mixed": (0.70, 0.25, 0.05),
}
WARM_ORDERS = 800
"""How many of the warm-up's requests are orders, even for contestants with a longer warm-up: every
read shows the pending orders."""
EVEN_PER_SECOND = 250.0
"""The rate at which all are compared: the slowest manages several times as much."""


class Step(msgspec.Struct, frozen=True):
    """A measurement in an open loop: at a rate, or at a share of the maximum; else in a closed one.

    A share is of what the step before the open loops has managed.
    """

    label: str
    mix: str
    per_second: float = 0.0
    share: float = 0.0


STEPS = (
    *(Step(mix, mix) for mix in MIXES),
    Step(results.HALF, "mixed", share=0.5),
    Step(results.EVEN, "mixed", EVEN_PER_SECOND),
)
"""What is measured in each start of a contestant."""
WARM_UP_S_MAX = 25.0
"""The longest warm-up of a start, before anything is measured."""
ACCOUNTS = 1_000
CONNECTIONS = 64
GENERATOR_START_S = 0.3
"""Roughly the CPU time that a generator uses outside its measurement."""
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")
TEMPLATE = "postgres"
LOG_FILES = 32
LOG_KEPT = {"min_wal_size": f"{16 * LOG_FILES}MB"}
"""How much of the write-ahead log is kept for reuse, as when a server has run for hours: otherwise
PostgreSQL creates each of its first files within the commit that happens to need it."""


@dataclass(frozen=True, slots=True)
class Arena:
    """What all contestants share."""

    directory: Path
    cluster: Cluster
    key: str
    server_cores: set[int]
    other_cores: set[int]
    seconds: float
    warm_up_s: float

    @property
    def tokens_file(self) -> Path:
        """The file of the sessions' tokens."""
        return self.cluster.data_dir / "tokens.txt"

    def dsn(self, database: str) -> str:
        """Return the DSN of a database."""
        return socket_dsn(self.cluster.socket_dir, user="postgres", database=database, port=5432)

    def generate(self, plan: Plan) -> Outcome:
        """Run the generator."""
        with on_cores(self.other_cores):
            done = subprocess.run(
                [sys.executable, "-m", "bench.generator"],
                cwd=TREE,
                input=msgspec.json.encode(plan),
                stdout=subprocess.PIPE,
                check=True,
                timeout=plan.seconds + 60,
            )
        return msgspec.json.decode(done.stdout, type=Outcome)


def contest(arena: Arena, names: Sequence[Contestant], rounds: int) -> results.Result:
    """Measure all in turns: A B C D, D C B A, and so on."""
    told = floors.measure(arena, lambda database: fresh_database(arena, database))
    runs: list[Run] = []
    for number in range(rounds):
        for contestant in names if number % 2 == 0 else tuple(reversed(names)):
            run = measure(arena, contestant, number)
            runs.append(run)
            results.show_progress(run)
    return results.Result(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=results.machine(arena.server_cores, arena.other_cores),
        seconds=arena.seconds,
        accounts=ACCOUNTS,
        connections=CONNECTIONS,
        floors=told,
        runs=runs,
    )


def measure(arena: Arena, contestant: Contestant, number: int) -> Run:
    """Run one contestant on its own database through all mixes, and recount."""
    database = f"run_{contestant.name.replace('-', '_')}_{number}"
    with (
        fresh_database(arena, database) as dsn,
        tempfile.TemporaryDirectory(dir=arena.directory) as name,
    ):
        directory = Path(name)
        place = Place(dsn, str(arena.cluster.socket_dir), arena.key, directory, arena.server_cores)
        with serving(contestant, place) as running:
            plans = planned(arena, contestant, directory, running.port, number)
            phases = [phase(arena, results.WARM, plans[results.WARM], running.pid)]
            for step in STEPS:
                rate = step.per_second or step.share * phases[-1].outcome.per_second
                plan = msgspec.structs.replace(plans[step.label], rate=rate)
                phases.append(phase(arena, step.label, plan, running.pid))
        files = [Path(plan.answered_file) for plan in plans.values()]
        faults = asyncio.run(recount(dsn, read_answered(files)))
        faults += [fault for each in phases for fault in results.faults_of(each)]
    return Run(contestant.name, contestant.label, number, phases, faults, contestant.warm_up)


def planned(
    arena: Arena, contestant: Contestant, directory: Path, port: int, number: int
) -> dict[str, Plan]:
    """Return the plans for a start of a contestant, the warm-up first; rates are not known yet."""
    first = Plan(
        port=port,
        tokens_file=str(arena.tokens_file),
        answered_file=str(directory / f"{results.WARM}.answered"),
        mix=(WARM_ORDERS, contestant.warm_up - WARM_ORDERS, 0),
        seconds=WARM_UP_S_MAX,
        warm_up_s=0.0,
        connections=CONNECTIONS,
        requests=contestant.warm_up,
        seed=number + 1,
        run=f"{results.WARM}-{number}",
    )
    plans = {results.WARM: first}
    for step in STEPS:
        plans[step.label] = msgspec.structs.replace(
            first,
            answered_file=str(directory / f"{step.label}.answered"),
            mix=MIXES[step.mix],
            seconds=arena.seconds,
            warm_up_s=arena.warm_up_s,
            requests=0,
            run=f"{step.label}-{number}",
        )
    return plans


def phase(arena: Arena, label: str, plan: Plan, server_pid: int) -> Phase:
    """Run the generator once, and record how much CPU time each process used."""
    postgres = cluster_processes(arena.cluster.path)
    before = cpu_seconds({server_pid}), cpu_seconds(postgres), *machine_seconds()
    outcome = arena.generate(plan)
    server_s = cpu_seconds({server_pid}) - before[0]
    postgres_s = cpu_seconds(cluster_processes(arena.cluster.path)) - before[1]
    busy_s, all_s = machine_seconds()
    others_s = busy_s - before[2] - server_s - postgres_s - outcome.cpu_s - GENERATOR_START_S
    share = max(0.0, others_s) / max(0.01, all_s - before[3])
    return Phase(label, plan.rate, outcome, server_s, postgres_s, share)


@contextmanager
def fresh_database(arena: Arena, database: str) -> Iterator[str]:
    """Yield a copy of the seeded database, with durable commits; remove it afterwards."""
    _command(arena.dsn("template1"), f'create database "{database}" template "{TEMPLATE}"')
    try:
        asyncio.run(_check_durable(arena.dsn(database)))
        yield arena.dsn(database)
    finally:
        _command(arena.dsn("template1"), f'drop database "{database}" with (force)')


def make_log(arena: Arena) -> None:
    """Make PostgreSQL create the files of its write-ahead log before anything is measured."""
    fill = "select pg_logical_emit_message(true, 'bench', 'next'), pg_switch_wal()"
    _command(arena.dsn("template1"), *[fill] * LOG_FILES, "checkpoint")


def _command(dsn: str, *statements: str) -> None:
    async def run() -> None:
        connection: Any = await asyncpg.connect(dsn)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


async def _check_durable(dsn: str) -> None:
    connection: Any = await asyncpg.connect(dsn)
    try:
        for name in SETTINGS:
            value = await connection.fetchval(f"show {name}")
            if value != "on":
                raise SystemExit(f"{name} is {value}: a commit would not be durable")
        await connection.execute("checkpoint")
    finally:
        await connection.close()


@asynccontextmanager
async def opened(seconds: float, warm_up_s: float) -> AsyncGenerator[Arena]:
    """Seed a world, run its PostgreSQL, and assign the cores."""
    cores = sorted(os.sched_getaffinity(0))
    server_cores, other_cores = {cores[0]}, set(cores[1:]) or set(cores)
    with scratch("bench") as directory:
        data_dir = directory / "data"
        await seed_data_dir(data_dir, accounts=ACCOUNTS, sessions=ACCOUNTS)
        key = token_key(data_dir)
        cluster = Cluster.at(data_dir)
        arena = Arena(directory, cluster, key, server_cores, other_cores, seconds, warm_up_s)
        async with AsyncExitStack() as stack:
            with on_cores(other_cores):
                running = embedded_postgres(data_dir, log=quiet_log(), settings=LOG_KEPT)
                await stack.enter_async_context(running)
            await trio.to_thread.run_sync(make_log, arena)
            yield arena


async def run(options: argparse.Namespace) -> int:
    """Seed, measure, report."""
    names = [each for each in ALL if not options.only or each.name in options.only]
    if not contestants.prepare_node():
        print("no Node here: Fastify is left out", file=sys.stderr)
        names = [each for each in names if each.name != "fastify"]
    async with opened(options.seconds, options.warm_up) as arena:
        result = await trio.to_thread.run_sync(contest, arena, names, options.rounds)
    return tell(result, options.out)


def token_key(data_dir: Path) -> str:
    """Return the token key of a data directory."""
    lines = (data_dir / "token.key").read_text(encoding="ascii").splitlines()
    return next(line for line in lines if line.startswith("k4.local."))


def tell(result: results.Result, out: Path) -> int:
    """Print the table; write JSON and chart; return an exit status."""
    result = msgspec.structs.replace(result, void=results.generator_fault(result))
    out.mkdir(parents=True, exist_ok=True)
    (out / "contest.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    (out / "contest.svg").write_text(chart.draw(result), encoding="utf-8")
    print(results.table(result))
    void = [run for run in result.runs if run.faults]
    for run in void:
        print(f"VOID: {run.label}, round {run.number}: {'; '.join(run.faults[:5])}")
    return 1 if void or result.void else 0


def bounded(options: argparse.Namespace) -> argparse.Namespace:
    """Keep a run from lasting for hours, whatever its options."""
    options.seconds = min(options.seconds, 60.0)
    options.rounds = min(options.rounds, 20)
    return options


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=1.2, help="of each measurement")
    parser.add_argument("--warm-up", type=float, default=0.3, help="of it not counted")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=[each.name for each in ALL])
    parser.add_argument("--out", type=Path, default=TREE / "build" / "bench")
    return trio.run(run, bounded(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
