"""Reads the heads of requests, and knows again what comes again and again, as from who polls.

A client that asks for the same sends the same bytes each time: reading them anew is a twentieth
of its request. What has a body is never kept: a command has a key of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.http.head import Head, HeadLimits, parse_head

if TYPE_CHECKING:
    from app.http.settings import HttpSettings

HEADS_MAX: Final = 4_096
"""How many heads are kept; before one more, all are forgotten."""

HEAD_BYTES_MAX: Final = 1_024
HEADERS_MAX: Final = 16
"""How large a head may be that is kept, and how many headers it may have: what is kept in all then
takes some megabytes, twenty at most."""


class HeadReader:
    """Reads heads within the limits of ``settings``; one for each server."""

    __slots__ = ("_known", "limits")

    def __init__(self, settings: HttpSettings) -> None:
        self.limits = HeadLimits.of(settings)
        self._known: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head:
        """Read a whole head; nobody may change what this gives.

        Raises: as `parse_head`.
        """
        head = self._known.get(raw)
        if head is None:
            head = parse_head(raw, self.limits)
            if len(raw) <= HEAD_BYTES_MAX and head.length == 0 and len(head.headers) <= HEADERS_MAX:
                if len(self._known) >= HEADS_MAX:
                    self._known.clear()
                self._known[raw] = head
        return head
