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

    __slots__ = ("_clock", "_date_s", "_heads", "_policy")

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.time) -> None:
        """Add the headers of ``policy`` to every answer; ``clock`` returns the Unix time."""
        self._policy = policy
        self._clock = clock
        self._date_s = -1
        # Each up to the value of X-Request-Id, with the date: they last for one second.
        self._heads: dict[tuple[int, tuple[tuple[bytes, bytes], ...]], bytes] = {}

    def render(
        self, response: HttpResponse, request_id: str, *, close: bool, with_body: bool = True
    ) -> bytes:
        """Return a response's bytes; ``close`` marks it as the connection's last."""
        now_s = int(self._clock())
        if now_s != self._date_s:
            self._date_s = now_s
            self._heads.clear()
        key = (response.status, response.headers)
        head = self._heads.get(key)
        if head is None:
            head = self._head(response)
            if len(self._heads) < _HEADS_MAX:
                self._heads[key] = head
        request = request_id.encode("ascii")
        connection = b"connection: close\r\n" if close else b""
        body = response.body
        if response.status == NO_CONTENT:
            return b"%b%b\r\n%b\r\n" % (head, request, connection)
        return b"%b%b\r\ncontent-length: %d\r\n%b\r\n%b" % (
            head,
            request,
            len(body),
            connection,
            body if with_body and response.status != NOT_MODIFIED else b"",
        )

    def _head(self, response: HttpResponse) -> bytes:
        headers = (
            *response.headers,
            *self._policy.added(response.headers),
            (b"date", formatdate(self._date_s, usegmt=True).encode("ascii")),
        )
        status = response.status
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        return b"HTTP/1.1 %d %b\r\n%bx-request-id: " % (status, reason_of(status), lines)
