"""Reads the heads of requests, and knows again what comes again and again, as from who plays.

A client that asks for the same sends the same bytes each time, and one that orders sends the same
but for the key of its command: to read them anew is a twentieth of its request.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from app.http.head import Head, HeadLimits, parse_head

if TYPE_CHECKING:
    from app.http.settings import HttpSettings

HEADS_MAX: Final = 4_096
"""How many heads are kept; for one more, the oldest is forgotten."""

HEAD_BYTES_MAX: Final = 1_024
HEADERS_MAX: Final = 16
"""How large a head may be that is kept, and how many headers it may have: what is kept in all then
takes some megabytes, twenty-five at most, with the tokens read from them."""

_KEY_NAME: Final = b"idempotency-key"
_KEY = re.compile(rb"\r\n(?i:idempotency-key):[ \t]*([\x21-\x7e]{1,255})[ \t]*\r\n")


class HeadReader:
    """Reads heads within the limits of ``settings``; one for each server."""

    __slots__ = ("_bytes_max", "_known", "limits")

    def __init__(self, settings: HttpSettings) -> None:
        self.limits = HeadLimits.of(settings)
        self._bytes_max = min(HEAD_BYTES_MAX, self.limits.bytes_max)
        # By all its bytes, or by those before and after its key.
        self._known: OrderedDict[bytes | tuple[bytes, bytes], Head] = OrderedDict()

    def read(self, raw: bytes) -> Head:
        """Read a whole head; nobody may change what this gives.

        Raises: as `parse_head`.
        """
        if len(raw) > self._bytes_max:
            return parse_head(raw, self.limits)
        key = _KEY.search(raw)
        if key is None:
            return self._known.get(raw) or self._parse(raw, raw)
        around = raw[: key.start(1)], raw[key.end(1) :]
        head = self._known.get(around)
        if head is None:
            return self._parse(raw, around, has_key=True)
        return head.with_one(_KEY_NAME, key[1])

    def _parse(
        self, raw: bytes, name: bytes | tuple[bytes, bytes], *, has_key: bool = False
    ) -> Head:
        """Read a head, and keep it by this name if it can be known again by it."""
        head = parse_head(raw, self.limits)
        # Given twice, keys are two values, of which one was cut out; and a body without any is no
        # command that is sent again and again.
        comes_again = len(head.fields.all(_KEY_NAME)) == 1 if has_key else head.length == 0
        if comes_again and len(head.fields.items()) <= HEADERS_MAX:
            self._known[name] = head
            if len(self._known) > HEADS_MAX:
                self._known.popitem(last=False)
        return head
