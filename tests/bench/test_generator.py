"""What the load generator asks for, and how it reckons."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.generator import HOT, ORDER, READ, Plan, Requests, percentiles

if TYPE_CHECKING:
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
