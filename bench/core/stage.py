"""The real program in this process, used through its gateway like the HTTP front.

The process is pinned to one core and PostgreSQL to another, if there are two.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest import mock

import trio

from actors.database.cluster import Cluster
from actors.database.processes import cluster_processes
from app import root
from app.config import load_config
from app.stopping import StopRequest
from bench.seed import MARKET, quiet_log, scratch, seed_data_dir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from app.gateway import Gateway
    from bus import Bus


@dataclass(frozen=True, slots=True)
class Stage:
    """A running program, and its sessions: pairs of account and access token."""

    bus: Bus
    gateway: Gateway
    tokens: tuple[tuple[str, str], ...]
    dsn: str


def split_cores() -> tuple[set[int], set[int]]:
    """Return the program's core and the cores for the rest; the same if there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, set(cores[1:]) or set(cores)


def pin(pids: Iterable[int], cores: set[int]) -> None:
    """Pin processes to some cores; their children inherit that."""
    for pid in pids:
        os.sched_setaffinity(pid, cores)


@asynccontextmanager
async def open_stage(
    *,
    accounts: int = 1_000,
    sessions: int = 1_000,
    options: Mapping[str, object] | None = None,
    ruleset: str = str(MARKET),
    due_at: datetime | None = None,
) -> AsyncIterator[Stage]:
    """Run the program on a database of accounts in a temporary directory.

    ``options`` are configuration values by key path; ``due_at`` as in `bench.seed.seed`.
    """
    own, others = split_cores()
    with scratch("core") as directory:
        data_dir = directory / "data"
        seeded = await seed_data_dir(
            data_dir, accounts=accounts, sessions=sessions, ruleset=ruleset, due_at=due_at
        )
        async with trio.open_nursery() as nursery:
            request = StopRequest()
            bus, gateway = await nursery.start(_run, data_dir, ruleset, options or {}, request)
            pin(cluster_processes(Cluster.at(data_dir).path), others)
            pin([0], own)
            try:
                yield Stage(bus, gateway, seeded.tokens, Cluster.at(data_dir).dsn)
            finally:
                pin([0], own | others)
                request.ask("all is measured")


async def _run(
    data_dir: Path,
    ruleset: str,
    options: Mapping[str, object],
    request: StopRequest,
    *,
    task_status: trio.TaskStatus[tuple[Bus, Gateway]],
) -> None:
    config = load_config(
        options={
            "http.port": 0,
            "storage.data_dir": str(data_dir),
            "world.ruleset": ruleset,
            **options,
        }
    )
    found: list[tuple[Bus, Gateway]] = []
    make = root.Gateway

    def gateway(bus: Bus, *rest: object, **named: object) -> Gateway:
        made = make(bus, *rest, **named)  # type: ignore[arg-type]
        found.append((bus, made))
        return made

    with mock.patch.object(root, "Gateway", gateway):
        await root.run_server(
            config,
            request,
            log=quiet_log(),
            announce=lambda _listening: task_status.started(found[0]),
        )
