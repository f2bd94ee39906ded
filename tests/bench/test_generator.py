"""What the load generator asks for, and how it reckons."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from bench.generator import HOT, ORDER, READ, Driver, Plan, Requests, percentiles

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

COUNT = 20_000


def plan(folder: Path, mix: tuple[float, float, float]) -> Plan:
    """Give a plan for ten accounts."""
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
    """Shares are met within a percent, every key is new, and the hot account is one."""
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
    """An order carries its account's token, its key, and a body of the stated length."""
    requests = Requests(plan(tmp_path, (1.0, 0.0, 0.0)))
    _, whose, key, request = requests.next()
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/inventory/orders HTTP/1.1\r\n")
    assert f"Authorization: Bearer token{whose}\r\n".encode() in head
    assert f"Idempotency-Key: {key}\r\n".encode() in head
    assert head.endswith(f"Content-Length: {len(body)}".encode())


def test_generator_percentiles_are_in_milliseconds() -> None:
    """Of a thousand values the 99th percentile is the 990th, whatever their order."""
    told = percentiles([value / 1000 for value in reversed(range(1000))])
    assert told == {"p50": 500.0, "p99": 990.0, "p99.9": 999.0, "max": 999.0}
    assert percentiles([])["max"] == 0.0


def test_generator_reopens_what_was_closed_while_idle(tmp_path: Path) -> None:
    """A server may close an idle connection: nothing is lost, and the next request gets through."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Longer between two requests than the server has patience.
        rare = msgspec.structs.replace(
            plan(tmp_path, (0.0, 1.0, 0.0)),
            port=listener.getsockname()[1],
            seconds=1.0,
            connections=2,
            rate=20.0,
        )
        with closing_after_each_answer(listener):
            outcome = Driver(rare).run()
    assert outcome.answered > 2 * rare.connections
    assert (outcome.lost, outcome.unsent) == (0, 0)


@contextmanager
def closing_after_each_answer(listener: socket.socket) -> Generator[None]:
    """Serve one request on each connection, in threads that end with the listener."""

    def serve(connection: socket.socket) -> None:
        with connection:
            if connection.recv(65_536):
                # The answer and the end in one packet: who has read one knows of the other.
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
                connection.sendall(answer, socket.MSG_MORE)

    def accept() -> None:
        while not ended.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                connection.settimeout(5)
                threading.Thread(target=serve, args=[connection]).start()

    ended = threading.Event()
    listener.settimeout(0.05)
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        ended.set()
        accepting.join()
