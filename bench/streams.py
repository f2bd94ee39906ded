"""Thousands of open event streams: the cost of each in memory, to wake, and at shutdown.

Accounts are made, their inventories are read once and leave memory again; then streams are opened,
a bounded number at a time, and held. The figures are the server's resident memory per stream, the
time from an order to its event on every stream of the account, the CPU time of idle streams
(heartbeats), and how long the server takes to stop with all of them open.

    python bench/streams.py --streams 5000 --accounts 500
    python bench/streams.py --streams 5000 --accounts 5000 --websocket

Loopback only. Prints a JSON summary; exits with 1 if a stream did not get what it should.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import trio

from bench.serving import CHEAP, Server
from bench.wire import Client

STREAMS_MAX = 9_000
JOINING = 32
OPENING = 64
OPEN_SECONDS_MAX = 120.0
EVENT_SECONDS_MAX = 30.0
WAKES = 20
SETTLE_S = 6.0
PASSWORD = "correct horse battery"  # noqa: S105 - of accounts that live for a minute
SETTINGS = {
    "HOLDFAST_INVENTORY__IDLE_SECONDS": "1",
    "HOLDFAST_EVENTS__STREAMS_PER_ACCOUNT_MAX": "200",
}


@dataclass
class Account:
    """An account with the streams that follow it."""

    token: str
    streams: list[trio.SocketStream] = field(default_factory=list[trio.SocketStream])


@dataclass
class Run:
    """One run against its own server."""

    server: Server
    websocket: bool
    accounts: list[Account] = field(default_factory=list[Account])
    report: dict[str, Any] = field(default_factory=dict[str, Any])

    async def measure(self, streams: int, accounts: int, idle_seconds: float) -> None:
        """Make the accounts, open the streams, and measure."""
        async with Client(self.server.url) as client:
            await self.join(client, accounts)
            await trio.sleep(SETTLE_S)
            before = self.memory()
            began = time.perf_counter()
            await self.open(streams)
            self.report["open_seconds"] = round(time.perf_counter() - began, 2)
            await trio.sleep(SETTLE_S)
            after = self.memory()
            self.report["streams"] = streams
            self.report["accounts"] = accounts
            self.report["rss_before_mb"] = round(before / 2**20, 1)
            self.report["rss_after_mb"] = round(after / 2**20, 1)
            self.report["rss_per_stream_kb"] = round((after - before) / streams / 1000, 2)
            await self.idle(idle_seconds)
            await self.wake(client)

    async def join(self, client: Client, count: int) -> None:
        """Make accounts and read their inventories once."""
        limiter = trio.CapacityLimiter(JOINING)

        async def one(number: int) -> None:
            async with limiter:
                who = {"username": f"stream-{number}", "password": PASSWORD}
                await client.post("/v1/accounts", json=who)
                tokens = (await client.post("/v1/sessions", json=who)).json()
                account = Account(tokens["access_token"])
                await client.get("/v1/inventory", bearer(account))
                self.accounts.append(account)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    async def open(self, count: int) -> None:
        """Open streams, in turn for each account, and read each one's first event."""
        limiter = trio.CapacityLimiter(OPENING)

        async def one(account: Account) -> None:
            async with limiter:
                stream = await self.follow(account)
                account.streams.append(stream)

        with trio.fail_after(OPEN_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for number in range(count):
                    nursery.start_soon(one, self.accounts[number % len(self.accounts)])

    async def follow(self, account: Account) -> trio.SocketStream:
        """Open one stream and wait for its snapshot."""
        address = urlsplit(self.server.url)
        stream = await trio.open_tcp_stream(address.hostname or "", address.port or 0)
        lines = ["Host: x", f"Authorization: Bearer {account.token}"]
        path = "/v1/events"
        if self.websocket:
            path = "/v1/events/ws"
            key = base64.b64encode(os.urandom(16)).decode()
            lines += ["Connection: Upgrade", "Upgrade: websocket"]
            lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"]
        request = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""])
        await stream.send_all(request.encode())
        await read_until(stream, b"snapshot")
        return stream

    async def idle(self, seconds: float) -> None:
        """Measure the CPU time of streams on which nothing happens."""
        process = psutil.Process(self.server.process.pid)
        before = sum(process.cpu_times()[:2])
        await trio.sleep(seconds)
        used = sum(process.cpu_times()[:2]) - before
        self.report["idle_cpu_percent"] = round(100 * used / seconds, 1)

    async def wake(self, client: Client) -> None:
        """Place orders; time each from sending until its last stream has the event."""
        ruleset = (await client.get("/v1/ruleset")).json()
        times_ms: list[float] = []
        for number, account in enumerate(self.accounts[:WAKES]):
            asset = await self.affordable(client, account, ruleset)
            began = time.perf_counter()
            headers = {**bearer(account), "Idempotency-Key": f"wake-{number}"}
            placed = await client.post(
                "/v1/inventory/orders", json={"asset": asset}, headers=headers
            )
            assert placed.status_code == 201, placed.text
            with trio.fail_after(EVENT_SECONDS_MAX):
                async with trio.open_nursery() as nursery:
                    for stream in account.streams:
                        nursery.start_soon(read_until, stream, b"order-started")
            times_ms.append(1000 * (time.perf_counter() - began))
        times_ms.sort()
        self.report["streams_per_account"] = len(self.accounts[0].streams)
        self.report["order_to_last_event_ms_p50"] = round(times_ms[len(times_ms) // 2], 2)
        self.report["order_to_last_event_ms_max"] = round(times_ms[-1], 2)

    async def affordable(self, client: Client, account: Account, ruleset: Any) -> str:
        """Find something that a new account can build."""
        for asset in ruleset["buildings"]:
            quote = await client.get(f"/v1/inventory/quotes/{asset}", bearer(account))
            if quote.status_code == 200:
                told = quote.json()
                if told["affordable"] and not told["missing"]:
                    return str(asset)
        raise AssertionError("a new account can build nothing")

    def memory(self) -> int:
        """Return the server's resident memory in bytes, without its database's."""
        return int(psutil.Process(self.server.process.pid).memory_info().rss)

    def stop(self) -> None:
        """Stop the server while every stream is open, and time it."""
        began = time.perf_counter()
        self.report["exit_status"] = self.server.stop()
        self.report["stop_seconds"] = round(time.perf_counter() - began, 2)
        self.report["failures"] = len(self.server.failures())


def bearer(account: Account) -> dict[str, str]:
    """Return the header that authenticates an account."""
    return {"Authorization": f"Bearer {account.token}"}


async def read_until(stream: trio.SocketStream, words: bytes) -> None:
    """Read until these words have arrived."""
    kept = b""
    while words not in kept:
        piece = await stream.receive_some(65_536)
        assert piece, f"the stream ended: {kept!r}"
        kept = kept[-1_000:] + piece


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=5_000)
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--websocket", action="store_true", help="instead of Server-Sent Events")
    arguments = parser.parse_args()
    if not 1 <= arguments.accounts <= arguments.streams <= STREAMS_MAX:
        parser.error(f"1 <= accounts <= streams <= {STREAMS_MAX}")
    with tempfile.TemporaryDirectory(prefix="holdfast-streams-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL may run as another user.
        run = Run(Server(place, {**CHEAP, **SETTINGS}), arguments.websocket)
        try:
            run.server.start()
            trio.run(run.measure, arguments.streams, arguments.accounts, arguments.idle_seconds)
            run.stop()
        finally:
            run.server.end()
    print(json.dumps(run.report, indent=2))
    return 0 if not run.report["failures"] and not run.report["exit_status"] else 1


if __name__ == "__main__":
    sys.exit(main())
