"""The PostgreSQL processes of one cluster: found by where they run, stopped within a deadline.

A server process works in its cluster's directory, and so does the ``initdb`` that creates one. A
pid from a file may by now be somebody else's; a process of that name in that directory is not.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
import trio

if TYPE_CHECKING:
    from pathlib import Path

# psutil ships no annotations; the functions below end its Any.
_psutil: Any = psutil

_PROGRAMS = frozenset({"postgres", "initdb"})
_POLL_S = 0.01
_QUIT_S = 0.5
_KILL_S = 0.5


def cluster_processes(cluster: Path) -> frozenset[int]:
    """Return the pids of the processes that run, or create, the cluster in this directory."""
    home = str(cluster)
    return frozenset(pid for pid in _psutil.pids() if _works_in(pid, home))


def _works_in(pid: int, home: str) -> bool:
    try:
        process = _psutil.Process(pid)
        return bool(process.name() in _PROGRAMS and process.cwd() == home)
    except (_psutil.Error, OSError):
        return False  # ended meanwhile, or another user's


async def stop_cluster(cluster: Path, postmaster: int | None, *, timeout_s: float) -> bool:
    """End every server process of a cluster; return whether the server shut down in order.

    The postmaster is asked to disconnect its clients and write a checkpoint (SIGINT) for most of
    ``timeout_s``, then to stop immediately (SIGQUIT), then all its processes are killed. Whatever
    a kill loses is in the write-ahead log. Without a postmaster its processes get ``timeout_s``
    to notice. Takes at most ``timeout_s`` plus a second, cancelled or not.
    """
    deadline = trio.current_time() + timeout_s
    if postmaster is None:
        ended = await _wait_ended(cluster, cluster_processes(cluster), deadline)
    else:
        _signal(postmaster, signal.SIGINT)
        ended = await _wait_ended(cluster, {postmaster}, deadline - min(_QUIT_S, timeout_s / 2))
        if not ended:
            _signal(postmaster, signal.SIGQUIT)
            await _wait_ended(cluster, {postmaster}, deadline)
    # The postmaster goes first: it would replace the others.
    rest = cluster_processes(cluster)
    for pid in sorted(rest, key=lambda each: each != postmaster):
        _signal(pid, signal.SIGKILL)
    await _wait_ended(cluster, rest, trio.current_time() + _KILL_S)
    return ended


async def _wait_ended(cluster: Path, pids: frozenset[int] | set[int], deadline: float) -> bool:
    home = str(cluster)
    with trio.CancelScope(shield=True, deadline=deadline):
        # An orphan's end cannot be waited for, only polled.
        while any(_works_in(pid, home) for pid in pids):  # noqa: ASYNC110
            await trio.sleep(_POLL_S)
        return True
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        _psutil.Process(pid).send_signal(number)
    except _psutil.Error:
        return  # ended meanwhile
