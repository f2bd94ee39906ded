"""Mixed load from many clients, for minutes, ended by SIGTERM under that load.

Every client is a separate account and does one thing after another: reads, orders, cancels,
transfers, pages of its ledger, quotes, forecasts, and requests that must be refused. Each answer
is checked against what the contract declares for that call; anything else fails the run, even a 503
or 504. The server's memory is sampled, the shutdown is timed, and after a restart the last answered
orders must be there.

    python bench/load.py --clients 200 --seconds 300
    python bench/load.py --share 0.7 --seconds 1800
    python bench/load.py --url http://127.0.0.1:8470 --clients 20 --seconds 30

With --share the clients first measure their maximum without pauses, and then send that share of it
at random moments: a soak test. Without --url a server is started in a temporary directory.
Loopback only. Prints a JSON summary; exits with 1 if anything was not as declared.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import trio

from bench.clients import ACTIONS, Answered, Player, Unexpected
from bench.serving import CHEAP, SHUTDOWN_MAX_S, Server
from bench.wire import Broken, Client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLIENTS_MAX = 2_000
SECONDS_MAX = 3_600
JOINING = 16
"""How many accounts are made at once."""
LAST_KEPT = 2_000
"""How many answered orders are checked after the restart."""
SAMPLE_S = 1.0
SERVICE_UNAVAILABLE = 503
FINDING_S = 30.0
"""How long the clients play without pauses to find their maximum."""
GROWTH_MAX = 1.15
GROWTH_MAX_MB = 8.0
TWELFTHS = 12
MB = 1_048_576


@dataclass
class Load:
    """One run against ``url``: what its clients did, and the outcome."""

    url: str
    clients: int
    rng: random.Random
    players: list[Player] = field(default_factory=list[Player])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    unexpected: list[str] = field(default_factory=list[str])
    unexpected_count: int = 0
    latencies_ms: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    last: deque[tuple[Player, str]] = field(default_factory=lambda: deque(maxlen=LAST_KEPT))
    stopping: bool = False
    most: float = 0.0
    """Requests per second without pauses, once measured."""
    rate: float = 0.0
    """Target requests per second of all clients together; 0: as many as possible."""

    async def join(self, client: Client) -> None:
        """Make an account for every client."""
        assets = list_assets((await client.get("/v1/ruleset")).json())
        limiter = trio.CapacityLimiter(JOINING)
        run_id = f"{self.rng.randrange(36**6):x}"

        async def one(number: int) -> None:
            async with limiter:
                player = Player(f"load-{run_id}-{number}", assets, random.Random(self.rng.random()))
                await player.join(client)
                self.players.append(player)

        async with trio.open_nursery() as nursery:
            for number in range(self.clients):
                nursery.start_soon(one, number)
        names = [player.name for player in self.players]
        for player in self.players:
            player.others = names

    async def play(self, client: Client, player: Player) -> None:
        """Do one thing after another until the server is gone, or this is cancelled."""
        weights = [action.weight for action in ACTIONS]
        due = 0.0
        while True:
            if self.rate:
                # A late client continues at once, and catches up on at most a minute.
                now = trio.current_time()
                due = max(due, now - 60.0) if due else now
                due += player.rng.expovariate(self.rate / self.clients)
                await trio.sleep_until(due)
            [action] = player.rng.choices(ACTIONS, weights)
            began = time.perf_counter()
            try:
                answered = await action.act(player, client)
            except Broken as broken:
                self._fail(f"{action.name}: {broken}", excused=self.stopping)
                return
            except Unexpected as unexpected:
                # Once the shutdown has begun, a server may refuse with a 503.
                excused = self.stopping and unexpected.status == SERVICE_UNAVAILABLE
                self._fail(f"{action.name}: {unexpected}", excused=excused)
                continue
            took_ms = 1000 * (time.perf_counter() - began)
            self.latencies_ms.setdefault(action.name, []).append(took_ms)
            self._keep(player, action.name, answered)

    def _keep(self, player: Player, name: str, answered: Answered) -> None:
        self.outcomes[f"{name} {answered.outcome}"] += 1
        if answered.order_id is not None:
            self.last.append((player, answered.order_id))

    def _fail(self, told: str, *, excused: bool) -> None:
        if excused:
            return
        self.unexpected_count += 1
        if len(self.unexpected) < 10:
            self.unexpected.append(told)
            print(f"\n{told}", file=sys.stderr, flush=True)

    def pace(self, share: float, seconds: float) -> None:
        """From now on send a share of what was done in ``seconds``; restart the counts."""
        self.most = self.outcomes.total() / seconds
        self.rate = share * self.most
        self.outcomes.clear()
        self.latencies_ms.clear()

    async def lost(self, client: Client) -> int:
        """Count the answered orders that are missing."""
        missing = 0
        for player, order_id in self.last:
            answer = await client.get(f"/v1/inventory/orders/{order_id}", player.bearer)
            missing += answer.status_code != 200
        return missing


def list_assets(ruleset: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return every asset of a ruleset, and whether it is ordered by count."""
    leveled = [*ruleset["buildings"], *ruleset["technologies"]]
    return [(name, False) for name in leveled] + [(name, True) for name in ruleset["units"]]


class Memory:
    """The resident memory of a process, sampled; psutil ships no annotations."""

    def __init__(self, pid: int) -> None:
        self._process: Any = psutil.Process(pid)
        self.samples_mb: list[float] = []

    async def watch(self) -> None:
        """Sample until cancelled, or until the process is gone."""
        while self._process.is_running():
            try:
                self.samples_mb.append(self._process.memory_info().rss / MB)
            except psutil.Error:
                return
            await trio.sleep(SAMPLE_S)

    def summary(self) -> dict[str, float | bool | list[float]]:
        """Return the memory in the second and in the last quarter of the time, and its maximum.

        Also in each twelfth, to show whether it levels off.
        """
        quarter = max(1, len(self.samples_mb) // 4)
        ends = [number * len(self.samples_mb) // TWELFTHS for number in range(TWELFTHS + 1)]
        parts = [mean(self.samples_mb[start:end]) for start, end in pairwise(ends)]
        early, late = mean(self.samples_mb[quarter : 2 * quarter]), mean(self.samples_mb[-quarter:])
        return {
            "second_quarter": round(early, 1),
            "last_quarter": round(late, 1),
            "max": round(max(self.samples_mb, default=0.0), 1),
            "twelfths": [round(part, 1) for part in parts],
            "steady": late <= early * GROWTH_MAX + GROWTH_MAX_MB,
        }


def mean(values: Sequence[float]) -> float:
    """Return the mean; 0 if there are no values."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of all lie."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0


def latencies(by_action: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return median, 99th percentile and maximum of each action, and of all."""
    every = {"all": [each for taken in by_action.values() for each in taken], **by_action}
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: {label: percentile(taken, share) for label, share in shares.items()}
        for name, taken in every.items()
    }


async def run(
    load: Load, seconds: float, server: Server | None, share: float = 1.0
) -> dict[str, Any]:
    """Join, play for ``seconds``, and stop our own server under load, if there is one."""
    memory = None if server is None else Memory(server.process.pid)
    shutdown: dict[str, Any] = {}
    async with Client(load.url) as client:
        await load.join(client)
        async with trio.open_nursery() as nursery:
            if memory is not None:
                nursery.start_soon(memory.watch)
            for player in load.players:
                nursery.start_soon(load.play, client, player)
            if share < 1:
                await show_progress(load, FINDING_S)
                load.pace(share, FINDING_S)
            began = time.monotonic()
            await show_progress(load, seconds)
            load.stopping = True
            played_s = time.monotonic() - began
            if server is not None:
                shutdown = await stop_under_load(server)
            nursery.cancel_scope.cancel()
    if server is not None:
        shutdown["warnings_logged"] = server.complaints()
        shutdown["answered_orders_lost"] = await lost_after_restart(load, server)
    return summary(load, played_s, memory, shutdown)


async def show_progress(load: Load, seconds: float) -> None:
    """Wait for the time to pass, and show the progress."""
    end = trio.current_time() + seconds
    while (left := end - trio.current_time()) > 0 and not load.unexpected_count > 1000:
        done, failed = load.outcomes.total(), load.unexpected_count
        told = f"\r{left:5.0f} s left, {done} requests, {failed} not as declared "
        print(told, end="", file=sys.stderr, flush=True)
        await trio.sleep(min(1.0, left))
    print(file=sys.stderr)


async def stop_under_load(server: Server) -> dict[str, Any]:
    """Send SIGTERM while all clients continue; return how it ended."""
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    status = await trio.to_thread.run_sync(server.wait)
    return {"exit_status": status, "seconds": round(time.monotonic() - began, 2)}


async def lost_after_restart(load: Load, server: Server) -> int:
    """Start the server again and check for the last orders that it had answered."""
    await trio.to_thread.run_sync(server.start)
    async with Client(server.url) as client:
        lost = await load.lost(client)
    await trio.to_thread.run_sync(server.stop)
    return lost


def summary(
    load: Load, played_s: float, memory: Memory | None, shutdown: dict[str, Any]
) -> dict[str, Any]:
    """Build the summary."""
    told: dict[str, Any] = {
        "clients": load.clients,
        "seconds": round(played_s, 1),
        "requests": load.outcomes.total(),
        "requests_per_second": round(load.outcomes.total() / played_s),
        "most_per_second": round(load.most) or None,
        "latency_ms": latencies(load.latencies_ms),
        "not_as_declared": load.unexpected_count,
        "examples": load.unexpected,
        "outcomes": dict(sorted(load.outcomes.items())),
    }
    good = not load.unexpected_count and bool(load.outcomes)
    if memory is not None:
        told["server_memory_mb"] = memory.summary()
        told["shutdown"] = shutdown
        good = good and bool(told["server_memory_mb"]["steady"])
        good = good and shutdown["exit_status"] == 0 and shutdown["seconds"] <= SHUTDOWN_MAX_S
        good = good and not shutdown["answered_orders_lost"]
    return {"good": good, **told}


def loopback(url: str) -> str:
    """Accept only the URL of a server on this machine."""
    host = urlsplit(url).hostname or ""
    if host != "localhost" and not ip_address(host).is_loopback:
        raise argparse.ArgumentTypeError("only a server on this machine is put under load")
    return url


def share_of(text: str) -> float:
    """Parse a share, more than 0 and at most 1."""
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError("a share is more than 0 and at most 1")
    return share


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--share", type=share_of, default=1.0, help="of the most; 1: no pause")
    parser.add_argument("--url", type=loopback, help="a server that runs already")
    parser.add_argument("--ruleset", default="tutorial", help="of the server that is started")
    parser.add_argument("--speed", type=int, default=20, help="of the world that is started")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    options.clients = min(options.clients, CLIENTS_MAX)
    options.seconds = min(options.seconds, SECONDS_MAX)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as a command."""
    options = options_of(arguments)
    rng = random.Random(options.seed)
    if options.url is not None:
        load = Load(options.url, options.clients, rng)
        told = trio.run(run, load, options.seconds, None, options.share)
    else:
        with tempfile.TemporaryDirectory(prefix="holdfast-load-") as name:
            told = run_own(Path(name), options, rng)
    print(json.dumps(told, indent=2))
    return 0 if told["good"] else 1


def run_own(directory: Path, options: argparse.Namespace, rng: random.Random) -> dict[str, Any]:
    """Run against our own server."""
    directory.chmod(0o711)
    settings = {
        **CHEAP,
        "HOLDFAST_WORLD__RULESET": options.ruleset,
        "HOLDFAST_WORLD__SPEED": str(options.speed),
    }
    server = Server(directory, settings)
    try:
        server.start()
        load = Load(server.url, options.clients, rng)
        return trio.run(run, load, options.seconds, server, options.share)
    finally:
        server.end()


if __name__ == "__main__":
    sys.exit(main())
