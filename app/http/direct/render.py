"""Renders responses as bytes, caching what many of them share."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from app.http.exchange import NO_CONTENT, NOT_MODIFIED
from app.http.reasons import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.http.exchange import HttpResponse
    from app.http.policy import Policy

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_HEADS_MAX: Final = 512
"""How many combinations of status and headers are cached; endless variation is not worth it."""


class Renderer:
    """Renders responses; one for each server."""

    __slots__ = ("_clock", "_date", "_date_s", "_heads", "_policy")

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        """Add the headers of ``policy`` to every answer; ``clock`` returns the Unix time."""
        self._policy = policy
        self._clock = clock
        self._date = b""
        self._date_s = -1
        self._heads: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], bytes] = {}

    def render(
        self, response: HttpResponse, request_id: str, *, close: bool, with_body: bool = True
    ) -> bytes:
        """Return a response's bytes; ``close`` marks it as the connection's last."""
        now_s = int(self._clock())
        if now_s != self._date_s:
            self._date_s = now_s
            self._date = formatdate(now_s, usegmt=True).encode("ascii")
        key = (response.status, response.headers)
        head = self._heads.get(key)
        if head is None:
            headers = (*response.headers, *self._policy.added(response.headers))
            head = _head(response.status, headers)
            if len(self._heads) < _HEADS_MAX:
                self._heads[key] = head
        body = response.body
        if response.status != NO_CONTENT:
            head = b"%bcontent-length: %d\r\n" % (head, len(body))
        return b"%bx-request-id: %b\r\ndate: %b\r\n%b\r\n%b" % (
            head,
            request_id.encode("ascii"),
            self._date,
            b"connection: close\r\n" if close else b"",
            body if with_body and response.status != NOT_MODIFIED else b"",
        )


def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"HTTP/1.1 %d %b\r\n%b" % (status, reason_of(status), lines)
