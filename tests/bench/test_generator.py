"""The load generator's requests, and its arithmetic."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from bench import generator
from bench.generator import HOT, ORDER, READ, Driver, Plan, Requests, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import pytest

COUNT = 20_000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def plan(folder: Path, mix: tuple[float, float, float]) -> Plan:
    """Return a plan for ten accounts."""
    tokens = folder / "tokens.txt"
    tokens.write_text("".join(f"account{n} token{n}\n" for n in range(10)))
    return Plan(
        port=1,
        tokens_file=str(tokens),
        answered_file=str(folder / "answered"),
        mix=mix,
        seconds=1,
        warm_up_s=0,
    )


def test_generator_requests_come_in_the_mix_that_was_asked_for(tmp_path: Path) -> None:
    """Shares are met within a percent, every key is new, and there is one hot account."""
    requests = Requests(plan(tmp_path, (0.70, 0.25, 0.05)))
    made = [requests.next() for _ in range(COUNT)]
    shares = Counter(kind for kind, *_ in made)
    assert abs(shares[ORDER] / COUNT - 0.70) < 0.01
    assert abs(shares[READ] / COUNT - 0.25) < 0.01
    assert abs(shares[HOT] / COUNT - 0.05) < 0.01
    keys = [key for kind, _, key, _ in made if kind != READ]
    assert len(set(keys)) == len(keys)
    assert {whose for kind, whose, *_ in made if kind == HOT} == {0}
    assert {whose for kind, whose, *_ in made if kind == ORDER} == set(range(10))


def test_generator_request_is_what_it_says(tmp_path: Path) -> None:
    """An order carries its account's token, its key, and a body of the declared length."""
    requests = Requests(plan(tmp_path, (1.0, 0.0, 0.0)))
    _, whose, key, request = requests.next()
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/inventory/orders HTTP/1.1\r\n")
    assert f"Authorization: Bearer token{whose}\r\n".encode() in head
    assert f"Idempotency-Key: {key}\r\n".encode() in head
    assert head.endswith(f"Content-Length: {len(body)}".encode())


def test_generator_percentiles_are_in_milliseconds() -> None:
    """The 99th percentile of a thousand values is the 990th smallest, whatever their order."""
    told = percentiles([value / 1000 for value in reversed(range(1000))])
    assert told == {"p50": 500.0, "p99": 990.0, "p99.9": 999.0, "max": 999.0}
    assert percentiles([])["max"] == 0.0


def test_generator_reopens_what_was_closed_while_idle(tmp_path: Path) -> None:
    """A server may close an idle connection: nothing is lost, and the next request gets through."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Longer between two requests than the server's idle timeout.
        rare = msgspec.structs.replace(
            plan(tmp_path, (0.0, 1.0, 0.0)),
            port=listener.getsockname()[1],
            seconds=1.0,
            connections=2,
            rate=20.0,
        )
        with serving(listener, answer_once):
            outcome = Driver(rare).run()
    assert outcome.answered > 2 * rare.connections
    assert (outcome.lost, outcome.unsent) == (0, 0)


def stalling(folder: Path, port: int) -> Plan:
    """Return a plan with more requests than one connection to a slow server can carry in time."""
    return msgspec.structs.replace(
        plan(folder, (0.0, 1.0, 0.0)), port=port, seconds=0.2, connections=1, rate=300.0
    )


def due_of(plan: Plan) -> int:
    """Return how many requests fall due within a plan's time."""
    rng = random.Random(plan.seed + 1)
    at, count = rng.expovariate(plan.rate), 0
    while at < plan.seconds:
        at, count = at + rng.expovariate(plan.rate), count + 1
    return count


def test_generator_sends_what_was_due_however_late(tmp_path: Path) -> None:
    """Requests still waiting at the end are sent all the same, timed from when they were due."""
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, answer_slowly):
        late = stalling(tmp_path, listener.getsockname()[1])
        outcome = Driver(late).run()
    assert outcome.statuses == {"read 200": due_of(late)}
    assert (outcome.lost, outcome.unsent) == (0, 0)
    assert outcome.answered < due_of(late)


def test_generator_tells_what_was_never_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that were due but got no connection before the timeout are reported."""
    monkeypatch.setattr(generator, "DRAIN_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, answer_slowly):
        late = stalling(tmp_path, listener.getsockname()[1])
        outcome = Driver(late).run()
    assert outcome.unsent > 0
    assert sum(outcome.statuses.values()) + outcome.lost + outcome.unsent == due_of(late)


def test_generator_ends_when_so_many_were_sent(tmp_path: Path) -> None:
    """A plan of n requests reaches every account in turn; its rate is over its own duration."""
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(listener, answer_all):
        counted = msgspec.structs.replace(
            plan(tmp_path, (0.5, 0.5, 0.0)),
            port=listener.getsockname()[1],
            seconds=60.0,
            connections=2,
            requests=40,
        )
        outcome = Driver(counted).run()
    assert 40 <= sum(outcome.statuses.values()) <= 40 + counted.connections
    assert outcome.seconds < counted.seconds
    requests = Requests(counted)
    assert [requests.next()[1] for _ in range(20)] == [*range(10), *range(10)]


def answer_once(connection: socket.socket) -> None:
    """Serve one request, and close."""
    if connection.recv(65_536):
        # The answer and the end in one packet: a client that has read one has seen the other.
        connection.sendall(ANSWER, socket.MSG_MORE)


def answer_all(connection: socket.socket) -> None:
    """Serve one request after another."""
    while connection.recv(65_536):
        connection.sendall(ANSWER)


def answer_slowly(connection: socket.socket) -> None:
    """Serve one request after another, with a pause before each answer."""
    while connection.recv(65_536):
        time.sleep(0.01)
        connection.sendall(ANSWER)


@contextmanager
def serving(listener: socket.socket, serve: Callable[[socket.socket], None]) -> Generator[None]:
    """Serve each connection in its own thread; the threads end with the listener."""

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(5)
                threading.Thread(target=run, args=[connection]).start()

    ended = threading.Event()
    listener.settimeout(0.05)
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        ended.set()
        accepting.join()
