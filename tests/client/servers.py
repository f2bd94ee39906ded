"""In-memory servers: they answer from a script and record their requests."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from holdfast_client import Client, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    Step = httpx.Response | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]

URL = "http://server"
TIME = "2026-01-01T00:00:00Z"
QUICK = RetryPolicy(attempts_max=6, backoff_s=0.1, backoff_max_s=1.0)

ORDER: dict[str, Any] = {
    "id": "order-1",
    "asset": "hut",
    "kind": "building",
    "cost": {"wood": 5},
    "state": "running",
    "placed_at": TIME,
    "starts_at": TIME,
    "finishes_at": TIME,
    "level": 1,
}
WORLD: dict[str, Any] = {
    "name": "world",
    "ruleset": {"name": "rules", "version": "1"},
    "tick": 1,
    "tick_ms": 250,
    "speed": 1,
    "now": TIME,
}
STOCK: dict[str, Any] = {"amount": 5, "per_hour": 60, "capacity": None, "full_at": None}


def problem(status: int, slug: str, *, retry_after: str = "", **members: object) -> httpx.Response:
    """Make a refusal."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    body = {"type": f"/problems/{slug}", "title": slug, "status": status, "detail": "no"}
    return httpx.Response(status, json=body | members, headers=headers)


def tokens(number: int, expires_in: int = 900) -> dict[str, Any]:
    """Make the body of a login or refresh."""
    return {
        "account_id": "account",
        "session_id": "session",
        "access_token": f"access-{number}",
        "token_type": "Bearer",
        "expires_in": expires_in,
        "refresh_token": f"refresh-{number}",
        "refresh_expires_in": 3600,
    }


async def silence(_: httpx.Request) -> httpx.Response:
    """Never answer."""
    await anyio.sleep_forever()
    raise AssertionError


class Script:
    """A server that answers with one step of its script after another, and repeats the last."""

    def __init__(self, *steps: Step) -> None:
        self._steps: Iterator[Step] = iter(steps)
        self._step: Step = steps[0]
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        self.times.append(anyio.current_time())
        step = self._step = next(self._steps, self._step)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, httpx.Response):
            return step
        return await step(request)

    def headers(self, name: str) -> list[str | None]:
        """Return one header's value for every request."""
        return [request.headers.get(name) for request in self.requests]

    def paths(self) -> list[str]:
        """Return the method and path of every request."""
        return [f"{request.method} {request.url.path}" for request in self.requests]


def client(
    server: Callable[[httpx.Request], Awaitable[httpx.Response]],
    *,
    timeout_s: float = 30.0,
    attempt_timeout_s: float = 5.0,
    retries: RetryPolicy = QUICK,
) -> Client:
    """Make a client of an in-memory server."""

    async def handle(request: httpx.Request) -> httpx.Response:
        return await server(request)

    return Client(
        URL,
        timeout_s=timeout_s,
        attempt_timeout_s=attempt_timeout_s,
        retries=retries,
        transport=httpx.MockTransport(handle),
        rng=random.Random(1),
    )


class Stream(httpx.AsyncByteStream):
    """The body of an event stream: chunks in order, then silence, an end or a failure."""

    def __init__(self, *pieces: bytes | Exception | None) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks; None stands for lasting silence."""
        for piece in self._pieces:
            if piece is None:
                await anyio.sleep_forever()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield piece

    async def aclose(self) -> None:
        """Record that it was closed."""
        self.closed = True


def stream(*pieces: bytes | Exception | None) -> httpx.Response:
    """Answer with an event stream."""
    headers = {"Content-Type": "text/event-stream"}
    return httpx.Response(200, headers=headers, stream=Stream(*pieces))
