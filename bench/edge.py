"""The cost of the HTTP edge: the server's CPU time per request, lane by lane, and idle connections.

The lanes are the fast one, plain and over TLS, and Hypercorn's. 32 connections repeat the same
request; the server's own CPU time, user and system, is divided by the answers. All lanes are
measured in turn, so that other load on the machine affects all of them, and the median of the
rounds is reported. With --idle, that many more connections are open that have each asked once:
their memory is reported, and the CPU time with them.

    python bench/edge.py
    python bench/edge.py --rounds 5 --seconds 3 --idle 10000
    python bench/edge.py --lanes fast --idle 10000    if the file limit is too low for TLS

Loopback only. Prints a JSON summary.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import selectors
import socket
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]
import trustme

from bench.serving import CHEAP, Server

TLS = "fast, TLS"
LANES = ("fast", TLS, "hypercorn")
PATHS = ("/healthz", "/v1/world")
CONNECTIONS = 32
IDLE_MAX = 100_000
SPARE_FILES = 256
ANSWER_S = 10.0
_LENGTH = re.compile(rb"content-length: ([0-9]+)")


class Asking:
    """Connections that request one path repeatedly, each as soon as it has its answer."""

    def __init__(self, url: str, path: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # The server is a child of this process: verifying its identity is not measured.
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
            "User-Agent: edge\r\n\r\n"
        ).encode()

    def connect(self) -> socket.socket:
        """Open a connection, and get one answer on it."""
        sock = socket.create_connection(self._address, timeout=ANSWER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock)
        sock.sendall(self._request)
        answer = b""
        while not self._whole(answer):
            piece = sock.recv(65_536)
            if not piece:
                raise SystemExit("the server has ended a connection: has it no place for more?")
            answer += piece
        return sock

    def run(self, seconds: float, connections: int) -> int:
        """Send requests for ``seconds``; return the number of answers."""
        answers = 0
        begun: dict[socket.socket, bytes] = {}
        with ExitStack() as stack, selectors.DefaultSelector() as selector:
            for _ in range(connections):
                sock = stack.enter_context(self.connect())
                selector.register(sock, selectors.EVENT_READ)
                sock.sendall(self._request)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for key, _ in selector.select(1):
                    sock = cast("socket.socket", key.fileobj)
                    answer = begun.pop(sock, b"") + sock.recv(65_536)
                    if self._whole(answer):
                        answers += 1
                        sock.sendall(self._request)
                    else:
                        begun[sock] = answer
        return answers

    @staticmethod
    def _whole(answer: bytes) -> bool:
        """Whether an answer is complete; its body has a stated length."""
        head, end, body = answer.partition(b"\r\n\r\n")
        if not end:
            return False
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 200 ") or length is None:
            raise SystemExit(f"not an answer: {answer[:200]!r}")
        return len(body) >= int(length[1])


def cpu_us(process: psutil.Process) -> float:
    """Return a process's CPU time so far, in microseconds."""
    times = process.cpu_times()
    return 1e6 * (times.user + times.system)


def measure(server: Server, path: str, seconds: float) -> tuple[float, float]:
    """Return the CPU time per request in microseconds, and the requests per second."""
    process = psutil.Process(server.process.pid)
    asking = Asking(server.url, path)
    asking.run(0.2, CONNECTIONS)
    before = cpu_us(process)
    answers = asking.run(seconds, CONNECTIONS)
    return (cpu_us(process) - before) / answers, answers / seconds


def idle(server: Server, count: int, seconds: float) -> dict[str, float]:
    """Return the server's memory for idle connections, and the cost of requests with them."""
    process = psutil.Process(server.process.pid)
    asking = Asking(server.url, PATHS[0])
    without = statistics.median(measure(server, PATHS[0], seconds)[0] for _ in range(3))
    before = process.memory_info().rss
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(asking.connect())
        each = (process.memory_info().rss - before) / count
        cost = statistics.median(measure(server, PATHS[0], seconds)[0] for _ in range(3))
    return {
        "connections": count,
        "bytes_each": round(each),
        "cpu_us_without": round(without, 1),
        "cpu_us_with": round(cost, 1),
    }


def start(directory: Path, lane: str) -> Server:
    """Start a server that serves through one lane."""
    server = Server(directory, {**CHEAP, "HOLDFAST_HTTP__CONNECTIONS_MAX": str(2 * IDLE_MAX)})
    server.settings["HOLDFAST_HTTP__FAST_LANE"] = "false" if lane == "hypercorn" else "true"
    # Idle connections must survive the measurement.
    server.settings["HOLDFAST_HTTP__KEEP_ALIVE_TIMEOUT_MS"] = "600000"
    directory.mkdir()
    if lane == TLS:
        certificate, key = issue(directory)
        server.settings["HOLDFAST_HTTP__TLS_CERTIFICATE"] = str(certificate)
        server.settings["HOLDFAST_HTTP__TLS_KEY"] = str(key)
    server.start()
    return server


def issue(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback, with its key."""
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
        "127.0.0.1", key_type=trustme.KeyType.ECDSA
    )
    certificate, key = directory / "cert.pem", directory / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    return certificate, key


def compare(servers: dict[str, Server], rounds: int, seconds: float) -> dict[str, Any]:
    """Measure every path through every lane, in turn; return the medians."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {
        path: {lane: [] for lane in servers} for path in PATHS
    }
    for _ in range(rounds):
        for path, lanes in found.items():
            for lane, server in servers.items():
                lanes[lane].append(measure(server, path, seconds))
    return {
        path: {
            lane: {
                "cpu_us": round(statistics.median(cpu for cpu, _ in pairs), 1),
                "per_second": round(statistics.median(rate for _, rate in pairs)),
            }
            for lane, pairs in lanes.items()
        }
        for path, lanes in found.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; return an exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--idle", type=int, default=0, metavar="N")
    parser.add_argument("--lanes", nargs="+", choices=LANES, default=LANES)
    options = parser.parse_args(arguments)
    count = min(options.idle, IDLE_MAX)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Over TLS a connection takes three files of the server.
    files_each = 3 if TLS in options.lanes else 1
    if files_each * count + SPARE_FILES > hard:
        parser.error(f"--idle {count} needs more open files than the {hard} that there may be")
    # The server inherits it.
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers: dict[str, Server] = {}
    with tempfile.TemporaryDirectory(prefix="holdfast-edge-", dir="/tmp") as directory:
        try:
            for lane in options.lanes:
                servers[lane] = start(Path(directory) / lane.replace(", ", "-"), lane)
            summary = compare(servers, options.rounds, options.seconds)
            if count:
                summary["idle"] = {
                    lane: idle(server, count, options.seconds) for lane, server in servers.items()
                }
        finally:
            for server in servers.values():
                server.end()
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
