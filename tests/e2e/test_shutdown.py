"""Shutdown of the server: orderly, within its deadline, and with a truthful exit status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import trio

from actors.database.driver import Database, open_database
from actors.database.processes import cluster_processes
from app.config import load_config
from app.root import run_server
from app.stopping import HardLimit, StopRequest
from tests.app.test_stopping import Exits
from tests.e2e.players import Player, client, until
from tests.e2e.server import (
    PROGRAM,
    SETTINGS,
    SHUTDOWN_MAX_S,
    START_TIMEOUT_S,
    Server,
    data_dir_setting,
    environment,
    serving,
)
from tests.e2e.test_database_loss import Orders, progress
from tests.postgres import frozen, quiet_log

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    import pytest

    from tests.postgres import PostgresServer

CUT_OFF = 3
"""The exit status of a server that could not finish everything."""


def raw_connection(server: Server) -> socket.socket:
    """Open a raw connection."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port or 0), timeout=5)


async def stopped(server: Server, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
    """Send the signal; return the exit status and the time taken, in seconds."""
    began = time.monotonic()
    server.signal(number)
    status = await trio.to_thread.run_sync(server.wait)
    return status, time.monotonic() - began


async def check_again(server: Server, orders: Orders) -> None:
    """Start the server again; every order that was answered must be there, once."""
    server.start()
    async with client(server.url) as http:
        for player in orders.players:
            player.http = http
        await orders.settle()
        await orders.check()


async def test_shutdown_under_load_keeps_what_was_answered(place: Path) -> None:
    """SIGTERM while players order: status 0, and every order answered is there once."""
    with serving(place) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http) for _ in range(8)])
            async with trio.open_nursery() as nursery:
                for player in orders.players:
                    nursery.start_soon(orders.place, player)
                await progress(orders)
                status, took_s = await stopped(server)
                orders.stopping = True
        assert (status, took_s < SHUTDOWN_MAX_S) == (0, True), server.log()
        assert server.postgres_pids() == frozenset()
        await check_again(server, orders)


async def test_shutdown_when_the_terminal_goes_leaves_no_database_behind(place: Path) -> None:
    """SIGHUP requests shutdown as SIGTERM does: status 0, and no PostgreSQL is left running."""
    with serving(place) as server:
        status, _ = await stopped(server, signal.SIGHUP)
        assert status == 0, server.log()
        assert server.postgres_pids() == frozenset()


async def test_shutdown_with_a_frozen_database_is_bounded_and_admits_it(place: Path) -> None:
    """With PostgreSQL frozen (SIGSTOP) under load the process exits in 5 s with another status."""
    with serving(place) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http) for _ in range(4)])
            async with trio.open_nursery() as nursery:
                for player in orders.players:
                    nursery.start_soon(orders.place, player)
                await progress(orders)
                with frozen(*server.postgres_pids()):
                    status, took_s = await stopped(server)
                orders.stopping = True
        assert status not in {0, -signal.SIGKILL}
        assert took_s < SHUTDOWN_MAX_S + 0.5
        await check_again(server, orders)


async def test_shutdown_waits_for_no_client(place: Path) -> None:
    """Idle connections and clients that never read or never finish do not hold up the server."""
    with serving(place) as server, ExitStack() as stack:
        unread = b"GET /v1/ruleset HTTP/1.1\r\nHost: x\r\n\r\n" * 500
        for sent in (b"", b"GET /v1/world HTTP/1.1\r\nHo", unread, unread):
            connection = stack.enter_context(raw_connection(server))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.setblocking(False)
            if sent:
                connection.send(sent)
        async with client(server.url) as http:
            # This client's connection stays open and idle.
            assert (await http.get("/healthz")).status_code == 200
            # Ctrl-C requests the same as SIGTERM.
            status, took_s = await stopped(server, signal.SIGINT)
        assert took_s < SHUTDOWN_MAX_S
        assert status == 0, server.log()
        assert server.postgres_pids() == frozenset()
        assert server.failures() == []
        assert server.events("server_stopped")[0]["status"] == 0


async def test_shutdown_that_cuts_an_answer_off_admits_it(place: Path) -> None:
    """A client in the middle of its answer has until the deadline to read it."""
    unlimited = {
        "HOLDFAST_HTTP__REQUESTS_PER_SECOND_PER_ADDRESS": "0",
        "HOLDFAST_HTTP__SEND_TIMEOUT_MS": "10000",
    }
    with serving(place, **unlimited) as server, raw_connection(server) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        assert connection.recv(1)
        await trio.sleep(0.2)  # By then nothing more fits into the system's buffers.
        status, took_s = await stopped(server)
        assert took_s < SHUTDOWN_MAX_S
        assert status == CUT_OFF, server.log()
        assert server.events("http_connections_aborted")
        assert server.postgres_pids() == frozenset()


async def test_second_signal_ends_it_at_once(place: Path) -> None:
    """With the database frozen the first signal waits for it; the second does not."""
    with serving(place) as server, frozen(*server.postgres_pids()):
        server.signal(signal.SIGTERM)
        await until(partial(heard_by, server))
        status, took_s = await stopped(server, signal.SIGINT)
        assert status == CUT_OFF
        assert took_s < SHUTDOWN_MAX_S - 1, "the first one alone takes that long"


async def test_second_signal_waits_for_no_commit(place: Path, postgres: PostgresServer) -> None:
    """A commit that the database holds up is abandoned at once: it was never acknowledged."""
    dsn = await postgres.create_database_async()
    with serving(place, HOLDFAST_DATABASE__DSN=dsn) as server:
        async with client(server.url) as http:
            orders = Orders([await Player.join(http)])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(orders.place, orders.players[0])
                await progress(orders)
                async with locked("inventories", dsn) as awaited:
                    await until(awaited)
                    server.signal(signal.SIGTERM)
                    await until(partial(heard_by, server))
                    status, took_s = await stopped(server)
                orders.stopping = True
        assert (status, took_s < SHUTDOWN_MAX_S - 2) == (CUT_OFF, True), server.log()
        assert not server.events("database_timeout") + server.events("shutdown_hung")
        assert "Traceback" not in server.log()
        server.start()
        async with client(server.url) as http:
            orders.players[0].http = http
            await orders.settle()
            await orders.check()


async def heard_by(server: Server) -> bool:
    """Return whether a server has heard the first signal."""
    return bool(server.events("shutdown_started"))


def test_log_that_nobody_reads_holds_up_neither_players_nor_the_end(place: Path) -> None:
    """With a hung log collector and a full pipe the server starts, answers and stops in time."""
    read, write = os.pipe()
    settings = {**SETTINGS, **data_dir_setting(place), "HOLDFAST_LOG__ACCESS": "all"}
    with (
        os.fdopen(read),
        full_pipe(write) as log,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "serve", "--port", "0"],
            cwd=place,
            env=environment(settings),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = next(line.split()[-1] for line in process.stdout if "ready at" in line)
            for _ in range(10):
                assert httpx.get(f"{url}/v1/world").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(SHUTDOWN_MAX_S) == 0
        finally:
            process.kill()


@contextmanager
def full_pipe(write: int) -> Generator[IO[bytes]]:
    """Fill a pipe, so that the next write to it blocks until something is read."""
    with os.fdopen(write, "wb", buffering=0) as pipe:
        # Through a separate open file description: the server shares the other one's flags.
        other = os.open(f"/proc/self/fd/{write}", os.O_WRONLY | os.O_NONBLOCK)
        for size in (4096, 1):
            with suppress(BlockingIOError):
                while True:
                    os.write(other, b"x" * size)
        os.close(other)
        yield pipe


async def test_signal_while_it_starts_ends_it(place: Path) -> None:
    """A server that is still starting stops too, and can be started afterwards."""
    server = Server(place, SETTINGS)
    try:
        process = server.launch()

        async def beginning() -> bool:
            assert process.poll() is None, server.log()
            return "postgres_cluster_creating" in server.log()

        await until(beginning)
        status, took_s = await stopped(server)
        assert took_s < SHUTDOWN_MAX_S
        assert status in {0, CUT_OFF}
        assert server.postgres_pids() == frozenset()
        server.start()
        assert server.stop() == 0
    finally:
        server.end()


async def test_kill_while_the_database_is_made(place: Path) -> None:
    """The process that makes it outlives the server; the next start ends it and starts over."""
    server = Server(place, SETTINGS)
    left: frozenset[int] = frozenset()
    try:
        server.launch()
        unfinished = server.cluster.path.with_name("postgres.new")

        async def held_at_it() -> bool:
            found = cluster_processes(unfinished)
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            return any(state_of(pid) == "T" for pid in found)

        # Freeze it, so that it cannot finish before the server is gone.
        await until(held_at_it)
        server.kill()
        left = cluster_processes(unfinished)
        assert left
        server.start()
        assert server.stop() == 0
        assert [pid for pid in left if is_there(pid)] == []
    finally:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.end()


def is_there(pid: int) -> bool:
    """Return whether a process is still alive."""
    return state_of(pid) not in {"", "Z"}


def state_of(pid: int) -> str:
    """Return the state letter of a process; empty if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return stat.rpartition(")")[2].split()[0]


@asynccontextmanager
async def locked(table: str, dsn: str) -> AsyncGenerator[Callable[[], Awaitable[bool]]]:
    """Lock a table against reads; yield a check for whether anything waits for it."""
    async with open_database(dsn, log=quiet_log()) as database:
        holder = await database.connect(name="holder")
        watcher = await database.connect(name="watcher")
        await holder.run(lambda s: s.execute(f"begin; lock table {table}"))

        async def awaited() -> bool:
            waiting = (
                "select exists (select from pg_locks join pg_database on database = pg_database.oid"
                " where datname = current_database() and not granted)"
            )
            asked = await watcher.run(lambda s: s.fetchval(waiting), timeout_s=START_TIMEOUT_S)
            return bool(asked)

        yield awaited


async def test_signal_while_the_start_waits_for_the_database_ends_it(
    place: Path, postgres: PostgresServer
) -> None:
    """A running query may take minutes: it is abandoned, and the shutdown is still clean."""
    dsn = await postgres.create_database_async()
    server = Server(place, {**SETTINGS, "HOLDFAST_DATABASE__DSN": dsn})
    try:
        async with locked("ruleset_history", dsn) as awaited:
            server.launch()
            await until(awaited)
            status, took_s = await stopped(server)
        assert status == 0, server.log()
        assert took_s < SHUTDOWN_MAX_S
        assert "Traceback" not in server.log()
    finally:
        server.end()


async def test_hard_limit_counts_from_the_request_whatever_holds_the_start_up(
    place: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends even if its start never lets go."""
    dsn = await postgres.create_database_async()
    chosen = {**SETTINGS, **data_dir_setting(place), "HOLDFAST_DATABASE__DSN": dsn}
    config, request = load_config(environ=chosen), StopRequest()
    exits, log = Exits(monkeypatch), quiet_log()
    run = partial(
        run_server, config, request, log=log, with_signals=False, hard_limit=HardLimit(0.01, log)
    )

    def keep(_database: Database) -> None:
        """Keep every connection."""

    async with trio.open_nursery() as nursery, locked("ruleset_history", dsn) as awaited:
        nursery.start_soon(run)
        await until(awaited)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "terminate", keep)
            request.ask("SIGTERM")
            await trio.to_thread.run_sync(exits.ended.wait, START_TIMEOUT_S)
    assert exits.statuses == [CUT_OFF]
