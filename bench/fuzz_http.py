"""Throws damaged requests at both lanes of one world, and requires the same answers.

Good requests, for event streams too, are cut, doubled, spliced and sprinkled with what parsers trip
over, and sent in pieces to a server of each lane, plain and over TLS, with the same scripted actors
behind it. For each request, no answer may be a 500, the connection must close after a refusal that
says so, nothing may hang, and both lanes must give the same statuses; at the end, no connection may
be left and no error logged.

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
import ssl
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio
import trustme

from app.http.instruments import Instruments
from app.http.streams import StreamSettings
from app.http.traffic import Traffic
from tests.app.http.harness import BEARER, SETTINGS, get
from tests.app.http.streams import harness
from tests.app.http.streams.harness import HANDSHAKE, Streaming, streaming

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.http.settings import HttpSettings

SECONDS_MAX = 3_600
REFUSED = 400
TLS_SHARE = 0.1
"""The share of requests that also go over TLS, where one that is cut off takes a whole deadline."""
HANG_S = 5.0
"""Longer than every deadline of the settings below."""

LOGIN = b'{"username":"ada","password":"correct horse"}'
_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_CHUNKS = b"5;a=b\r\n%b\r\n%x\r\n%b\r\n0\r\nA: b\r\n\r\n" % (LOGIN[:5], len(LOGIN) - 5, LOGIN[5:])


def post(*headers: str, body: bytes) -> bytes:
    """Build a login request."""
    return get("/v1/sessions", *headers).replace(b"GET", b"POST", 1) + body


def masked(text: bytes) -> bytes:
    """Put a text into a masked WebSocket frame, as clients do."""
    return b"\x81" + bytes([0x80 | len(text)]) + bytes(4) + text


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
    get("/v1/events", AUTHORIZED, "Accept: text/event-stream"),
    get("/v1/events?after=0", AUTHORIZED, "Last-Event-ID: 3"),
    get("/v1/events/ws", *HANDSHAKE, AUTHORIZED),
    # The first message of a client without that header: masked, as clients' are.
    get("/v1/events/ws?after=0", *HANDSHAKE) + masked(b'{"token":"v4.local.good","after":0}'),
)
TRIPS = (
    *(b"\0", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"\x7f", b"\xff", b"%", b"%00"),
    *(b"%2F", b"HEAD", b"Expect: 100-continue\r\n", b"X-Request-Id: mine\r\n"),
    *(b"\r\n ", b" :", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 3\r\n", b"Host: y\r\n"),
    *(b"Transfer-Encoding: gzip\r\n", b"HTTP/1.0", b"HTTP/2.0", b"http://x/", b"*", b"0\r\n\r\n"),
    *(b"Connection: close\r\n", b"Upgrade: h2c\r\n", b"-1", b"fffffffff", b"TRACE", b"CONNECT"),
    *(b"Upgrade: websocket\r\n", b"Last-Event-ID: -\r\n", b"\x81\x80\0\0\0\0", b"\x88\x80\0\0\0\0"),
    *(b"A: " + b"b" * 3_000 + b"\r\n", b"A: b\r\n" * 40),
)


class Broken(Exception):
    """A request broke a promise; the message names both."""


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


@dataclass(frozen=True)
class Lane:
    """One server, with the counter of its connections; ``tls`` if it speaks that."""

    server: Streaming
    traffic: Traffic
    tls: ssl.SSLContext | None

    async def connect(self) -> tuple[trio.SocketStream, trio.abc.Stream]:
        """Open a connection; return its socket, and the stream to speak through."""
        plain = await trio.open_tcp_stream("127.0.0.1", self.server.port)
        if self.tls is None:
            return plain, plain
        return plain, trio.SSLStream(
            plain, self.tls, server_hostname="localhost", https_compatible=True
        )


async def ask(lane: Lane, request: bytes, pieces: list[int], expected: int) -> bytes:
    """Send a request in pieces, then nothing more; return everything received.

    On a plain connection the client then closes its side, and reads to the end. TLS has no
    half-close: there it reads until it has the expected number of answers, or the server closes.
    """
    answer = b""
    plain, stream = await lane.connect()
    try:
        with trio.fail_after(HANG_S):
            try:
                for start, end in zip([0, *pieces], [*pieces, len(request)], strict=True):
                    if request[start:end]:
                        await stream.send_all(request[start:end])
                if stream is plain:
                    await plain.send_eof()
            except trio.BrokenResourceError:
                pass  # It was refused before it was complete.
            with suppress(trio.BrokenResourceError):
                while stream is plain or len(statuses_of(answer)) < expected:
                    data = await stream.receive_some()
                    if not data:
                        break
                    answer += data
    except trio.TooSlowError:
        raise Broken(f"a connection was not closed: {request!r}") from None
    finally:
        await trio.aclose_forcefully(plain)
    return answer


def statuses_of(answer: bytes) -> list[int]:
    """Return the statuses of an answer, except those that only tell a client to continue."""
    return [int(status) for status in _STATUS.findall(answer) if status != b"100"]


def alike(one: list[int], other: list[int]) -> bool:
    """Whether two lanes have answered the same, except for differences in timing.

    A body that had not arrived when its request was refused ends the connection, and a request
    refused for its path may be refused for its body instead, if that has arrived; a request that is
    cut off gets a refusal if its client still listens. What one lane has served, the other has.
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
    lanes: dict[str, Lane], rng: random.Random, seconds: float
) -> tuple[int, Counter[str]]:
    """Ask all lanes the same for ``seconds``; return the number of requests, and the answers.

    Raises:
        Broken: a promise was broken.
    """
    seen: Counter[str] = Counter()
    count = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        request = damaged(rng)
        pieces = sorted(rng.choices(range(len(request) + 1), k=rng.choice((0, 0, 1, 3))))
        found: dict[str, list[int]] = {}
        secure = rng.random() < TLS_SHARE
        for name, lane in lanes.items():
            if lane.tls is not None and not secure:
                continue
            expected = max(map(len, found.values()), default=0)
            answer = await ask(lane, request, pieces, expected)
            found[name] = statuses_of(answer)
            if 500 in found[name]:
                raise Broken(f"{name} answered 500: {request!r}")
            at = answer.find(b"\r\nconnection: close\r\n")
            if at >= 0 and _STATUS.search(answer, at) is not None:
                raise Broken(f"{name} went on after it had closed: {request!r}")
        count += 1
        first, *others = found.values()
        if not all(alike(first, other) for other in others):
            raise Broken(f"the lanes differ, {found}: {request!r} cut at {pieces}")
        seen.update(map(str, first or ["none"]))
    return count, seen


@asynccontextmanager
async def open_lane(settings: HttpSettings, tls: ssl.SSLContext | None) -> AsyncIterator[Lane]:
    """Serve a world with event streams."""
    traffic = Traffic()
    async with streaming(
        settings=settings,
        streams=StreamSettings(login_seconds=1.0),
        instruments=Instruments(traffic),
    ) as server:
        yield Lane(server, traffic, tls)


@asynccontextmanager
async def open_lanes() -> AsyncIterator[dict[str, Lane]]:
    """Serve through both lanes, plain and over TLS."""
    plain = replace(
        SETTINGS, body_timeout_ms=1_000, read_timeout_ms=1_000, keep_alive_timeout_ms=2_000,
        max_header_bytes=4_096, headers_max=32,
    )  # fmt: skip
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        issued = authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        (folder / "key.pem").chmod(0o600)
        secure = replace(plain, tls=(folder / "cert.pem", folder / "key.pem"))
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(trusting)
        lanes: dict[str, Lane] = {}
        for fast in (True, False):
            name = "fast" if fast else "hypercorn"
            for settings, tls in ((plain, None), (secure, trusting)):
                lane = open_lane(replace(settings, fast_lane=fast), tls)
                lanes[f"{name}, TLS" if tls else name] = await stack.enter_async_context(lane)
        yield lanes


async def fuzz(seed: int, seconds: float) -> dict[str, object]:
    """Serve through both lanes and compare them; return a summary.

    Raises:
        Broken: a promise was broken.
    """
    harness.WAIT_S = seconds + 60
    async with open_lanes() as lanes:
        count, seen = await compare(lanes, random.Random(seed), seconds)
        for name, lane in lanes.items():
            with trio.move_on_after(HANG_S):
                while lane.traffic.connections_open:  # noqa: ASYNC110 - real sockets
                    await trio.sleep(0.005)
            left = lane.traffic.connections_open
            if left or lane.server.world.logged:
                raise Broken(f"{name} has {left} connections left, and {lane.server.world.logged}")
        streams = {name: lane.server.streams.statistics().opened for name, lane in lanes.items()}
    statuses = dict(sorted(seen.items()))
    return {"seed": seed, "requests": count, "statuses": statuses, "streams": streams}


def main(arguments: list[str] | None = None) -> int:
    """Run; return an exit status."""
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
