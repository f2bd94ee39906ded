"""Parses the heads of requests, and caches those that players send repeatedly.

A client that repeats a query sends the same bytes each time, and one that repeats a command sends
the same except for its key: parsing them again takes a twentieth of the request.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from app.http.head import Head, HeadLimits, parse_head

if TYPE_CHECKING:
    from app.http.settings import HttpSettings

HEADS_MAX: Final = 4_096
"""How many heads are cached; beyond that the oldest is evicted."""

HEAD_BYTES_MAX: Final = 1_024
HEADERS_MAX: Final = 16
"""The largest head that is cached, and its maximum of headers: the whole cache then takes some
megabytes, twenty-five at most, with the tokens read from the heads."""

_KEY_NAME: Final = b"idempotency-key"
# In both usual spellings. Finding it is several times faster than searching with a pattern.
_KEY_PART: Final = b"dempotency-"
_KEY = re.compile(rb"\r\n(?i:idempotency-key):[ \t]*([\x21-\x7e]{1,255})[ \t]*\r\n")


class HeadReader:
    """Parses heads within the limits of ``settings``; one for each server."""

    __slots__ = ("_bytes_max", "_known", "limits")

    def __init__(self, settings: HttpSettings) -> None:
        self.limits = HeadLimits.of(settings)
        self._bytes_max = min(HEAD_BYTES_MAX, self.limits.bytes_max)
        # Keyed by all bytes, or by those before and after the idempotency key.
        self._known: OrderedDict[bytes | tuple[bytes, bytes], Head] = OrderedDict()

    def read(self, raw: bytes) -> Head:
        """Parse a whole head; the result must not be mutated.

        Raises: as `parse_head`.
        """
        if len(raw) > self._bytes_max:
            return parse_head(raw, self.limits)
        part = raw.find(_KEY_PART)
        # From the end of the line before.
        key = None if part < 0 else _KEY.search(raw, part - 3)
        if key is None:
            return self._known.get(raw) or self._parse(raw, raw)
        begin, end = key.span(1)
        around = raw[:begin], raw[end:]
        head = self._known.get(around)
        if head is None:
            return self._parse(raw, around, has_key=True)
        return head.with_one(_KEY_NAME, key[1])

    def _parse(
        self, raw: bytes, name: bytes | tuple[bytes, bytes], *, has_key: bool = False
    ) -> Head:
        """Parse a head, and cache it under this name if the name identifies it."""
        head = parse_head(raw, self.limits)
        # With two keys, only one was cut out of the name; and a request with a body but without a
        # key is not a command that is sent repeatedly.
        comes_again = len(head.fields.all(_KEY_NAME)) == 1 if has_key else head.length == 0
        if comes_again and len(head.fields.items()) <= HEADERS_MAX:
            self._known[name] = head
            if len(self._known) > HEADS_MAX:
                self._known.popitem(last=False)
        return head
