"""The load generator: a separate process that costs as little as Python can.

It reads a plan (`Plan`, JSON) from standard input and prints the result (`Outcome`, JSON).
Requests are bytes made beforehand; one thread drives all connections through epoll.

Closed loop: each connection sends its next request when it has its answer; that measures the
throughput. Open loop: requests come due at random moments fixed beforehand, whether or not the
server keeps up, and a request that finds no free connection waits; its latency counts from the
moment it was due, so that a stall of the server does not hide its effect on the requests that
would have come meanwhile (coordinated omission).
"""

from __future__ import annotations

import gc
import random
import re
import select
import socket
import sys
import time
from collections import Counter, deque
from pathlib import Path

import msgspec

ORDER, READ, HOT = 0, 1, 2
KINDS = ("order", "read", "hot")
ASSETS = 8
DRAIN_S = 10.0
_ANSWER_BYTES = 262_144


class Plan(msgspec.Struct, frozen=True):
    """The requests to send.

    ``mix`` has the shares of orders, reads, and orders for the one hot account. ``rate`` is in
    requests per second in an open loop; 0: a closed loop. With ``requests`` a closed loop ends once
    that many were sent, to one account after another, and lasts at most ``seconds``.
    ``answered_file`` gets a line "account key" for each order that was answered with 2xx.
    """

    port: int
    tokens_file: str
    answered_file: str
    mix: tuple[float, float, float]
    seconds: float
    warm_up_s: float
    connections: int = 64
    rate: float = 0.0
    requests: int = 0
    seed: int = 1
    run: str = "run"


class Outcome(msgspec.Struct, frozen=True):
    """The result of a plan, for the time after the warm-up, except ``statuses`` and ``lost``.

    ``latency_ms`` is by kind and percentile; ``lost`` connections broke; ``unsent`` requests were
    due and found no connection, not even in the `DRAIN_S` after the end.
    """

    answered: int
    seconds: float
    per_second: float
    latency_ms: dict[str, dict[str, float]]
    statuses: dict[str, int]
    lost: int
    unsent: int
    cpu_s: float
    bytes_per_answer: dict[str, float]


class Requests:
    """Yields the bytes of one request after another, in the plan's mix."""

    def __init__(self, plan: Plan) -> None:
        lines = Path(plan.tokens_file).read_text(encoding="ascii").split("\n")
        pairs = [line.split(" ") for line in lines if line]
        self.accounts = [account for account, _ in pairs]
        self._orders = [_order_head(token) for _, token in pairs]
        self._reads = [_read(token) for _, token in pairs]
        self._tails = [_order_tail(f"cart{number + 1}") for number in range(ASSETS)]
        rng = random.Random(plan.seed)
        self._kinds = rng.choices((ORDER, READ, HOT), plan.mix, k=65_536)
        self._whose = (
            [number % len(pairs) for number in range(65_521)]
            if plan.requests
            else [rng.randrange(len(pairs)) for _ in range(65_521)]
        )
        self._prefix = f"{plan.run}-"
        self._number = 0

    @property
    def made(self) -> int:
        """How many requests were made so far."""
        return self._number

    def next(self) -> tuple[int, int, str, bytes]:
        """Return kind, index of the account, idempotency key, and the request."""
        number = self._number
        self._number = number + 1
        kind = self._kinds[number & 65_535]
        whose = self._whose[number % 65_521]
        if kind == READ:
            return READ, whose, "", self._reads[whose]
        if kind == HOT:
            whose = 0
        key = f"{self._prefix}{number:010d}"
        tail = self._tails[number % ASSETS]
        return kind, whose, key, b"%b%b%b" % (self._orders[whose], key.encode(), tail)


def _read(token: str) -> bytes:
    return (
        f"GET /v1/inventory HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


def _order_head(token: str) -> bytes:
    return (
        "POST /v1/inventory/orders HTTP/1.1\r\nHost: bench\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nIdempotency-Key: "
    ).encode()


def _order_tail(asset: str) -> bytes:
    body = f'{{"asset":"{asset}","count":1}}'
    return f"\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Connection:
    """One connection with at most one request in flight."""

    __slots__ = ("buffer", "busy", "due", "key", "kind", "socket", "whose")

    def __init__(self, port: int) -> None:
        self.socket = _connected(port)
        self.buffer = b""
        self.busy = False
        self.kind = self.whose = 0
        self.key = ""
        self.due = 0.0


def _connected(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setblocking(False)  # noqa: FBT003
    return made


class Driver:
    """Drives the connections of one plan to its end."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = Requests(plan)
        self._needle = _length_header(plan.port)
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        for _ in range(plan.connections):
            connection = Connection(plan.port)
            self._watch(connection)
        self._under_way = 0
        self._lost = 0
        self._samples: list[tuple[float, float, int, int]] = []
        self._statuses: Counter[str] = Counter()
        self._answered: list[tuple[int, str]] = []
        self._unsent = 0
        self._end = 0.0

    def run(self) -> Outcome:
        """Execute the plan."""
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        cpu = time.process_time()
        if self._plan.rate:
            self._open_loop(began)
        else:
            self._closed_loop(began)
        cpu = time.process_time() - cpu
        for connection in tuple(self._connections.values()):
            self._close(connection)
        self._epoll.close()
        self._write_answered()
        return self._outcome(began, cpu)

    # ------------------------------------------------------------------ the two loops

    def _closed_loop(self, began: float) -> None:
        end = began + self._plan.seconds
        most = self._plan.requests or sys.maxsize
        for connection in self._connections.values():
            self._send(connection, time.perf_counter())
        clock, poll, requests = time.perf_counter, self._epoll.poll, self._requests
        while (now := clock()) < end and requests.made < most and self._connections:
            for descriptor, _ in poll(0.1):
                connection = self._connections[descriptor]
                if self._receive(connection):
                    self._send(connection, clock())
        self._end = min(now, end)
        self._drain(deque())

    def _open_loop(self, began: float) -> None:
        end = self._end = began + self._plan.seconds
        rng = random.Random(self._plan.seed + 1)
        # In turn, so that none is idle long enough for a server to close it.
        free = deque(self._connections.values())
        waiting: deque[float] = deque()
        due = began + rng.expovariate(self._plan.rate)
        clock = time.perf_counter
        while self._connections:
            now = min(clock(), end)
            while due <= now:
                waiting.append(due)
                due += rng.expovariate(self._plan.rate)
            while waiting and free:
                self._send(free.popleft(), waiting.popleft())
            if now == end:
                break
            # epoll counts in milliseconds, select in microseconds.
            pause = min(due, end) - clock()
            if pause > 0:
                select.select([self._epoll], [], [], pause)
            for descriptor, _ in self._epoll.poll(0):
                connection = self._connections[descriptor]
                if self._receive(connection):
                    if waiting:
                        self._send(connection, waiting.popleft())
                    else:
                        free.append(connection)
        self._drain(waiting)

    def _drain(self, waiting: deque[float]) -> None:
        """Send the due requests that still wait, and wait for all outstanding answers.

        So the recount is exact, and a stall at the end shows like an earlier one.
        """
        patience = time.perf_counter() + DRAIN_S
        while self._under_way and self._connections and time.perf_counter() < patience:
            for descriptor, _ in self._epoll.poll(0.1):
                connection = self._connections[descriptor]
                if self._receive(connection) and waiting:
                    self._send(connection, waiting.popleft())
        self._unsent = len(waiting)
        self._lost += self._under_way

    # ------------------------------------------------------------------ one request

    def _send(self, connection: Connection, due: float) -> None:
        connection.kind, connection.whose, connection.key, request = self._requests.next()
        connection.due = due
        connection.busy = True
        self._under_way += 1
        try:
            sent = connection.socket.send(request)
        except OSError:
            self._lose(connection)
            return
        assert sent == len(request), "a request fits a socket's buffer"

    def _receive(self, connection: Connection) -> bool:
        """Process received data; True if the answer is complete."""
        try:
            piece = connection.socket.recv(_ANSWER_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            piece = b""
        if not piece:
            if connection.busy:
                self._lose(connection)
            else:
                self._reopen(connection)
            return False
        buffer = connection.buffer + piece if connection.buffer else piece
        head = buffer.find(b"\r\n\r\n")
        if head >= 0:
            at = buffer.find(self._needle, 0, head) + len(self._needle)
            if len(buffer) >= head + 4 + int(buffer[at : buffer.find(b"\r", at)]):
                connection.buffer = b""
                self._note(connection, buffer)
                return True
        connection.buffer = buffer
        return False

    def _note(self, connection: Connection, answer: bytes) -> None:
        now = time.perf_counter()
        self._under_way -= 1
        connection.busy = False
        kind = connection.kind
        self._samples.append((now, now - connection.due, kind, len(answer)))
        status = answer[9:12]
        self._statuses[f"{KINDS[kind]} {status.decode()}"] += 1
        if kind != READ and status[:1] == b"2":
            self._answered.append((connection.whose, connection.key))

    def _lose(self, connection: Connection) -> None:
        """Abandon a connection that broke with a request in flight."""
        self._lost += 1
        self._under_way -= 1
        connection.busy = False
        self._close(connection)

    def _reopen(self, connection: Connection) -> None:
        """Replace a connection that the server closed while it was idle, as servers may."""
        self._close(connection)
        connection.socket = _connected(self._plan.port)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        descriptor = connection.socket.fileno()
        self._connections[descriptor] = connection
        self._epoll.register(descriptor, select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        descriptor = connection.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._connections[descriptor]
        connection.socket.close()

    # ------------------------------------------------------------------ reporting

    def _write_answered(self) -> None:
        accounts = self._requests.accounts
        lines = (f"{accounts[whose]} {key}\n" for whose, key in self._answered)
        Path(self._plan.answered_file).write_text("".join(lines), encoding="ascii")

    def _outcome(self, began: float, cpu_s: float) -> Outcome:
        plan = self._plan
        first, last = began + plan.warm_up_s, self._end
        # Requests due within the window count, even if their answers came after it.
        counted = [each for each in self._samples if first <= each[0] - each[1] < last]
        in_time = sum(first <= each[0] < last for each in self._samples)
        latency: dict[str, dict[str, float]] = {"all": percentiles([each[1] for each in counted])}
        size: dict[str, float] = {}
        for kind, name in enumerate(KINDS):
            of_kind = [each for each in counted if each[2] == kind]
            if of_kind:
                latency[name] = percentiles([each[1] for each in of_kind])
                size[name] = sum(each[3] for each in of_kind) / len(of_kind)
        seconds = last - first
        return Outcome(
            answered=in_time,
            seconds=seconds,
            per_second=in_time / seconds,
            latency_ms=latency,
            statuses=dict(self._statuses),
            lost=self._lost,
            unsent=self._unsent,
            cpu_s=cpu_s,
            bytes_per_answer=size,
        )


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return median, 99th and 99.9th percentile and the maximum, in milliseconds."""
    ordered = sorted(seconds)
    shares = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
    if not ordered:
        return dict.fromkeys(shares, 0.0)
    last = len(ordered) - 1
    return {
        name: 1000 * ordered[min(last, int(share * len(ordered)))] for name, share in shares.items()
    }


def _length_header(port: int) -> bytes:
    """Find out how the server spells the length header, to search for it in every answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as probe:
        probe.sendall(b"GET /v1/inventory HTTP/1.1\r\nHost: bench\r\n\r\n")
        found = re.search(rb"\r\n(content-length: ?)\d", probe.recv(65_536), re.IGNORECASE)
    if found is None:
        raise SystemExit("the server tells no content-length")
    return b"\r\n" + found[1]


def main() -> None:
    """Execute the plan on standard input."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(Driver(plan).run()))


if __name__ == "__main__":
    main()
