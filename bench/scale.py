"""A world of a million accounts and one of a thousand: cold start, and the cost of a request.

    .venv/bin/python bench/scale.py [--accounts 1000 1000000] [--seconds 5]

Each world is seeded into its own data directory. Then `holdfast serve` is started on it, with its
embedded PostgreSQL, and asked for an inventory until it answers: that is the cold start (the
server's and the database's own memory is empty; the system's file cache is not). Then requests
come at a fixed rate, each for a random one of the first thousand accounts; latencies count from
the moment a request was due.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import trio

from bench.contestants import cpu_seconds, free_port, on_cores
from bench.generator import Outcome, Plan
from bench.seed import ACCOUNTS_MAX, MARKET, scratch, seed_data_dir
from bench.serving import TREE, Server

SESSIONS = 1_000
MIX = (0.7, 0.25, 0.05)
START_MAX_S = 60.0
KB = 1024


def main() -> None:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accounts", type=int, nargs="+", default=[1_000, ACCOUNTS_MAX])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=200.0, help="requests per second")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    told = [measure(min(count, ACCOUNTS_MAX), options) for count in options.accounts]
    print(json.dumps(told, indent=2))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def measure(accounts: int, options: argparse.Namespace) -> dict[str, Any]:
    """Seed a world, start it several times, and send requests."""
    with scratch("scale") as directory:
        data_dir = directory / "data"

        async def seed() -> float:
            seeded = await seed_data_dir(data_dir, accounts=accounts, sessions=SESSIONS)
            return seeded.seconds

        seeded_s = trio.run(seed)
        print(f"{accounts:,} accounts seeded in {seeded_s:.1f} s", file=sys.stderr)
        # The seeded data is still being written to disk, and would delay commits.
        os.sync()
        starts: list[dict[str, Any]] = []
        for number in range(options.starts):
            server = Server(directory, settings(free_port()))
            try:
                told = cold_start(server, data_dir)
                starts.append(told | ask(server, data_dir, options, number))
            finally:
                server.end()
        return {"accounts": accounts, "seeded_s": round(seeded_s, 1), "starts": starts}


def settings(port: int) -> dict[str, str]:
    """Return the settings of a server."""
    return {
        "HOLDFAST_HTTP__PORT": str(port),
        "HOLDFAST_HTTP__REQUESTS_PER_SECOND_PER_ACCOUNT": "0",
        "HOLDFAST_LOG__FORMAT": "json",
        "HOLDFAST_LOG__LEVEL": "warning",
        "HOLDFAST_WORLD__RULESET": str(MARKET),
    }


def cold_start(server: Server, data_dir: Path) -> dict[str, float]:
    """Start a server; return how long it takes until it answers with an inventory."""
    port = int(server.settings["HOLDFAST_HTTP__PORT"])
    _, token = (data_dir / "tokens.txt").read_text(encoding="ascii").splitlines()[-1].split(" ")
    request = (
        "GET /v1/inventory HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()
    began = time.perf_counter()
    process = server.launch()
    while time.perf_counter() < began + START_MAX_S and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(request)
            if client.recv(65_536).startswith(b"HTTP/1.1 200"):
                wall_s = time.perf_counter() - began
                used = cpu_seconds({process.pid}) + cpu_seconds(server.postgres_pids())
                return {"first_answer_s": round(wall_s, 2), "cpu_s": round(used, 2)}
        time.sleep(0.02)
    raise SystemExit(f"the server did not start: {server.log()}")


def ask(server: Server, data_dir: Path, options: argparse.Namespace, number: int) -> dict[str, Any]:
    """Send requests at a fixed rate; return their latency and cost."""
    plan = Plan(
        port=int(server.settings["HOLDFAST_HTTP__PORT"]),
        tokens_file=str(data_dir / "tokens.txt"),
        answered_file=os.devnull,
        mix=MIX,
        seconds=options.seconds,
        warm_up_s=min(1.0, options.seconds / 4),
        connections=16,
        rate=options.rate,
        run=f"start-{number}",
    )
    pid = server.process.pid
    before = cpu_seconds({pid}), cpu_seconds(server.postgres_pids())
    with on_cores({max(os.sched_getaffinity(0))}):
        done = subprocess.run(
            [sys.executable, "-m", "bench.generator"],
            cwd=TREE,
            input=msgspec.json.encode(plan),
            stdout=subprocess.PIPE,
            check=True,
            timeout=plan.seconds + 60,
        )
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    answers = sum(outcome.statuses.values())
    return {
        "requests_per_second": round(outcome.per_second),
        "statuses": outcome.statuses,
        "latency_ms": {k: round(v, 2) for k, v in outcome.latency_ms["all"].items()},
        "server_cpu_us_each": round((cpu_seconds({pid}) - before[0]) / answers * 1e6),
        "postgres_cpu_us_each": round(
            (cpu_seconds(server.postgres_pids()) - before[1]) / answers * 1e6
        ),
        "memory_mb": resident_mb(pid),
    }


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / KB / KB, 1)


if __name__ == "__main__":
    main()
