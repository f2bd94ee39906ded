"""Finding and stopping the processes of a cluster; the stand-ins are called ``postgres`` too."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from actors.database.processes import cluster_processes, stop_cluster
from tests.postgres import frozen

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

OBEDIENT = "trap 'exit 0' INT"
STUBBORN = "trap '' INT QUIT"
QUITTER = "trap '' INT; trap 'exit 3' QUIT"


@pytest.fixture
def shell(tmp_path: Path) -> Path:
    """Make a shell whose processes are called ``postgres``."""
    source = shutil.which("dash") or shutil.which("bash")
    assert source is not None
    program = tmp_path / "bin" / "postgres"
    program.parent.mkdir()
    shutil.copy2(source, program)
    return program


@contextmanager
def server(shell: Path, cluster: Path, script: str) -> Generator[subprocess.Popen[str], None, None]:
    """Run a stand-in for a server process in the directory of its cluster."""
    cluster.mkdir(exist_ok=True)
    command = [shell, "-c", f"{script}; echo ready; while :; do sleep 0.01; done"]
    with subprocess.Popen(command, cwd=cluster, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def come_to(cluster: Path, pids: frozenset[int]) -> None:
    """Wait until these are the cluster's processes.

    A stand-in's children bear its name until they are what they were made for.
    """
    latest = time.monotonic() + 5
    while (found := cluster_processes(cluster)) != pids:
        assert time.monotonic() < latest, found
        time.sleep(0.001)


def test_cluster_processes_finds_its_own(shell: Path, tmp_path: Path) -> None:
    """Only processes of that name in that directory count, and only while they live."""
    here, there = tmp_path / "here", tmp_path / "there"
    with (
        server(shell, here, OBEDIENT) as mine,
        server(shell, there, OBEDIENT),
        subprocess.Popen(["sleep", "60"], cwd=here) as other_name,
    ):
        come_to(here, frozenset({mine.pid}))
        mine.kill()
        mine.wait()
        come_to(here, frozenset())
        other_name.kill()


async def test_stop_cluster_in_order(shell: Path, tmp_path: Path) -> None:
    """A server that heeds SIGINT is given the time to."""
    with server(shell, tmp_path / "c", OBEDIENT) as process:
        assert await stop_cluster(tmp_path / "c", process.pid, timeout_s=5)
        assert process.wait() == 0


async def test_stop_cluster_by_sigquit(shell: Path, tmp_path: Path) -> None:
    """A server that does not finish in time is told to stop as it is."""
    with server(shell, tmp_path / "c", QUITTER) as process:
        assert not await stop_cluster(tmp_path / "c", process.pid, timeout_s=0.3)
        assert process.wait() == 3


@pytest.mark.parametrize("freeze", [True, False])
async def test_stop_cluster_by_force(shell: Path, tmp_path: Path, freeze: bool) -> None:
    """Frozen or deaf, every process of the cluster is gone soon after the deadline."""
    cluster = tmp_path / "c"
    with (
        server(shell, cluster, STUBBORN) as postmaster,
        server(shell, cluster, STUBBORN) as backend,
        frozen(*((postmaster.pid, backend.pid) if freeze else ())),
    ):
        start = trio.current_time()
        assert not await stop_cluster(cluster, postmaster.pid, timeout_s=0.1)
        assert trio.current_time() - start < 0.1 + 1
        assert (postmaster.wait(), backend.wait()) == (-9, -9)


async def test_stop_cluster_without_its_postmaster(shell: Path, tmp_path: Path) -> None:
    """Processes left by a dead postmaster are waited for, and then killed."""
    with server(shell, tmp_path / "c", OBEDIENT) as backend:
        assert not await stop_cluster(tmp_path / "c", None, timeout_s=0.05)
        assert backend.wait() == -9
    assert await stop_cluster(tmp_path / "c", None, timeout_s=0.05)


async def test_stop_cluster_cancelled(shell: Path, tmp_path: Path) -> None:
    """A cancelled caller still stops the cluster."""
    with server(shell, tmp_path / "c", OBEDIENT) as process:
        with trio.CancelScope() as scope:
            scope.cancel()
            await stop_cluster(tmp_path / "c", process.pid, timeout_s=5)
        assert process.wait() == 0


async def test_stop_cluster_that_is_gone(shell: Path, tmp_path: Path) -> None:
    """A postmaster that has ended meanwhile counts as stopped."""
    with server(shell, tmp_path / "c", OBEDIENT) as process:
        process.kill()
        process.wait()
        assert await stop_cluster(tmp_path / "c", process.pid, timeout_s=5)
