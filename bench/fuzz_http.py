"""Throws damaged requests at both lanes of one world, and holds them to the same answers.

Good requests are cut, doubled, spliced and sprinkled with what parsers trip over, and sent in
pieces to a server of each lane, with the same scripted actors behind. For each it must hold that
no answer is a 500, that the connection is closed after a refusal that says so, that nothing hangs,
that both lanes give the same statuses, and at the end that no connection is left and nothing was
logged as an error.

    python bench/fuzz_http.py
    python bench/fuzz_http.py --seconds 60 --seed 7

Loopback only. Prints a JSON summary; exits with 1 at the first request that breaks a promise.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import secrets
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from tests.app.http import harness
from tests.app.http.harness import BEARER, SETTINGS, get, serving

if TYPE_CHECKING:
    from tests.app.http.harness import Serving

SECONDS_MAX = 3_600
REFUSED = 400
HANG_S = 5.0
"""Longer than every deadline of the settings below."""

LOGIN = b'{"username":"ada","password":"correct horse"}'
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_CHUNKS = b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nA: b\r\n\r\n" % (LOGIN[:5], len(LOGIN) - 5, LOGIN[5:])


def post(*headers: str, body: bytes) -> bytes:
    """Spell out a login."""
    return get("/v1/sessions", *headers).replace(b"GET", b"POST", 1) + body


AUTHORIZED = f"Authorization: {BEARER['Authorization']}"
SAMPLES = (
    get(),
    get("/v1/world", "Accept: */*", "Connection: keep-alive"),
    get("/v1/inventory", AUTHORIZED),
    get("/v1/inventory/ledger?after=0&limit=10", AUTHORIZED),
    get("/problems/not%2Dfound"),
    get("/v1/inventory/orders/x", AUTHORIZED, "Content-Length: 0"),
    post(f"Content-Length: {len(LOGIN)}", "Content-Type: application/json", body=LOGIN),
    post("Transfer-Encoding: chunked", body=_CHUNKS),
    post("Expect: 100-continue", f"Content-Length: {len(LOGIN)}", body=LOGIN),
)
TRIPS = (
    *(b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"\x7f", b"\xff", b"%", b"%00"),
    *(b"%2F", b"HEAD", b"Expect: 100-continue\r\n", b"X-Request-Id: mine\r\n"),
    *(b"\r\n ", b" :", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Host: y\r\n"),
    *(b"Transfer-Encoding: gzip\r\n", b"HTTP/1.0", b"HTTP/2.0", b"http://x/", b"*", b"0\r\n\r\n"),
    *(b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"-1", b"fffffffff", b"TRACE", b"CONNECT"),
    *(b"A: " + b"b" * 3_000 + b"\r\n", b"A: b\r\n" * 40),
)


class Broken(Exception):
    """A request broke a promise; the text tells which, and the request."""


def damaged(rng: random.Random) -> bytes:
    """Make a request, or several, with something wrong in a few places."""
    data = bytearray(b"".join(rng.choices(SAMPLES, k=rng.choice((1, 1, 1, 2, 3)))))
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(TRIPS)
            case 1:
                data[at : at + rng.randint(1, 4)] = rng.choice(TRIPS)
            case 2:
                del data[at : at + rng.randint(1, 30)]
            case 3:
                data[at:at] = data[at : at + rng.randint(1, 60)]
            case _:
                data[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(data)


async def ask(server: Serving, request: bytes, pieces: list[int]) -> tuple[list[int], bytes]:
    """Send a request in pieces, then nothing more; give the statuses, and all that came."""
    client = await server.connect()
    try:
        with trio.fail_after(HANG_S):
            try:
                for start, end in zip([0, *pieces], [*pieces, len(request)], strict=True):
                    if request[start:end]:
                        await client.send(request[start:end])
                await client.stream.send_eof()
            except trio.BrokenResourceError:
                pass  # It was refused before it was whole.
            answer = await client.read_to_end()
    except trio.TooSlowError:
        raise Broken(f"a connection was not closed: {request!r}") from None
    finally:
        await client.aclose()
        server.clients.remove(client)
    return [int(status) for status in _STATUS.findall(answer)], answer


def alike(one: list[int], other: list[int]) -> bool:
    """Whether two lanes have answered the same, but for what is a matter of time.

    A body that had not come when its request was refused ends the connection, and what is refused
    for its path may be refused for its body, if that has come; a request that is cut off is told
    so where its client still listens. What one lane has served, the other has.
    """
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    left = sorted((one[same:], other[same:]), key=len)
    if not left[0]:
        refused = same > 0 and one[same - 1] >= REFUSED
        return refused or left[1] in ([], [REFUSED])
    return left[0][0] >= REFUSED and left[1][0] >= REFUSED


async def compare(
    servers: dict[str, Serving], rng: random.Random, seconds: float
) -> tuple[int, Counter[str]]:
    """Ask both lanes the same for so long; give how many requests, and what was answered.

    Raises:
        Broken: a promise was.
    """
    seen: Counter[str] = Counter()
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        request = damaged(rng)
        pieces = sorted(rng.choices(range(len(request) + 1), k=rng.choice((0, 0, 1, 3))))
        found: dict[str, list[int]] = {}
        for lane, server in servers.items():
            statuses, answer = await ask(server, request, pieces)
            found[lane] = [status for status in statuses if status != 100]
            if 500 in statuses:
                raise Broken(f"{lane} answered 500: {request!r}")
            at = answer.find(b"\r\nconnection: close\r\n")
            if at >= 0 and _STATUS.search(answer, at) is not None:
                raise Broken(f"{lane} went on after it had closed: {request!r}")
        count += 1
        first, second = found.values()
        if not alike(first, second):
            raise Broken(f"the lanes differ, {found}: {request!r} cut at {pieces}")
        seen.update(map(str, first or ["none"]))
    return count, seen


async def fuzz(seed: int, seconds: float) -> dict[str, object]:
    """Serve through both lanes and compare them; give a summary.

    Raises:
        Broken: a promise was.
    """
    harness.TEST_SECONDS_MAX = seconds + 60
    settings = replace(
        SETTINGS, body_timeout_ms=1_000, read_timeout_ms=1_000, max_header_bytes=4_096,
        headers_max=32,
    )  # fmt: skip
    harness.LANE = harness.FAST
    async with serving(settings=settings) as fast:
        harness.LANE = harness.HYPERCORN
        async with serving(settings=settings) as slow:
            servers = {"fast": fast, "hypercorn": slow}
            count, seen = await compare(servers, random.Random(seed), seconds)
            for lane, server in servers.items():
                with trio.move_on_after(HANG_S):
                    await server.wait_connections_closed(keeping=0)
                left = server.traffic.connections_open
                if left or server.world.logged:
                    raise Broken(f"{lane} has {left} connections left, and {server.world.logged}")
    return {"seed": seed, "requests": count, "statuses": dict(sorted(seen.items()))}


def main(arguments: list[str] | None = None) -> int:
    """Run; give an exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    try:
        summary = trio.run(fuzz, seed, min(options.seconds, SECONDS_MAX))
    except BaseExceptionGroup as group:
        broken = group.subgroup(Broken)
        if broken is None:
            raise
        sys.stderr.write(f"seed {seed}: {broken.exceptions[0]!r}\n")
        return 1
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
