"""The servers that are compared, each started and stopped the same way."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.seed import MARKET
from bench.serving import TREE, Server, data_dir_setting, environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NODE_DIR = TREE / "build" / "bench-node"
NODE_SOURCE = TREE / "bench" / "peers" / "node"
START_S = 20.0
STOP_S = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server under comparison; ``label`` is for people.

    ``warm_up`` requests are answered before anything is measured: every account is touched, every
    token seen, and run-time optimization of the code is done. Python needs a few hundred; Node
    compiles in stages, and its cost per answer falls over thousands.
    """

    name: str
    label: str
    pool: int = 0
    warm_up: int = 2_000


HOLDFAST = Contestant("holdfast", "Holdfast")
PEERS = (
    Contestant("fastapi", "FastAPI, a transaction each", 16),
    Contestant("fastapi-group", "FastAPI, group commit", 16),
    Contestant("fastify", "Fastify + pg", 16, warm_up=8_000),
)
ALL = (HOLDFAST, *PEERS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs: its database, the key of its tokens, a directory, its cores."""

    dsn: str
    socket_dir: str
    key: str
    directory: Path
    cores: set[int]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers on ``port``."""

    pid: int
    port: int


@contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Restrict the processes started inside to some cores, for as long as they live."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(contestant: Contestant, place: Place) -> Iterator[Running]:
    """Run a contestant's server."""
    start = _holdfast if contestant is HOLDFAST else _peer
    with start(contestant, place) as running:
        yield running


@contextmanager
def _holdfast(_contestant: Contestant, place: Place) -> Iterator[Running]:
    settings = {
        **data_dir_setting(place.directory),
        "HOLDFAST_HTTP__PORT": "0",
        "HOLDFAST_HTTP__REQUESTS_PER_SECOND_PER_ACCOUNT": "0",
        "HOLDFAST_LOG__FORMAT": "json",
        "HOLDFAST_LOG__LEVEL": "warning",
        "HOLDFAST_DATABASE__DSN": place.dsn,
        "HOLDFAST_AUTH__KEY": place.key,
        "HOLDFAST_WORLD__RULESET": str(MARKET),
    }
    server = Server(place.directory, settings)
    try:
        with on_cores(place.cores):
            server.start()
        yield Running(server.process.pid, int(server.url.rpartition(":")[2]))
    finally:
        server.end()
        told = server.failures()
        if told:
            print(f"holdfast logged errors: {told[:2]}", file=sys.stderr)


@contextmanager
def _peer(contestant: Contestant, place: Place) -> Iterator[Running]:
    port = free_port()
    settings = {
        "PEER_DSN": place.dsn,
        "PEER_SOCKET_DIR": place.socket_dir,
        "PEER_KEY": place.key,
        "PEER_PORT": str(port),
        "PEER_POOL": str(contestant.pool),
        "PEER_COMMIT": "group" if contestant.name == "fastapi-group" else "single",
    }
    command = [sys.executable, "-m", "bench.peers.fastapi_app"]
    if contestant.name == "fastify":
        command = [node(), str(NODE_DIR / "server.js")]
        settings["NODE_ENV"] = "production"
    with program(command, settings, place.cores, place.directory) as process:
        wait_for(port, process)
        yield Running(process.pid, port)


@contextmanager
def program(
    command: list[str], settings: Mapping[str, str], cores: set[int], directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with its output in a file; end it with SIGTERM, or by force."""
    with (directory / "peer.log").open("wb") as log, on_cores(cores):
        process = subprocess.Popen(
            command,
            cwd=TREE,
            env=environment({}) | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the port is listened on; raises RuntimeError if the process has ended."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"a peer did not start, see its log: {process.args!r}")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def node() -> str:
    """Return the Node that runs the Node peer; raises FileNotFoundError if there is none."""
    found = shutil.which("node")
    if found is None:
        raise FileNotFoundError("node is not installed")
    return found


def prepare_node() -> bool:
    """Install the Node peer's locked packages under build/; False if there is no Node."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return False
    NODE_DIR.mkdir(parents=True, exist_ok=True)
    lock, installed = NODE_SOURCE / "package-lock.json", NODE_DIR / "package-lock.json"
    fresh = installed.exists() and installed.read_bytes() == lock.read_bytes()
    for file in ("package.json", "package-lock.json", "server.js", "tokens.js"):
        shutil.copyfile(NODE_SOURCE / file, NODE_DIR / file)
    if not fresh or not (NODE_DIR / "node_modules").exists():
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=NODE_DIR,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    return True


def cpu_seconds(pids: set[int] | frozenset[int]) -> float:
    """Return the CPU time that processes have used, with that of their ended children."""
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def machine_seconds() -> tuple[float, float]:
    """Return the CPU time that everything has used, and the same plus idle time."""
    first = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    # user nice system idle iowait irq softirq steal; user already includes guest time.
    times = [int(each) / _TICKS for each in first.split()[1:9]]
    idle = times[3] + times[4]
    return sum(times) - idle, sum(times)
