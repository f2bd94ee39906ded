"""Parses the heads of requests, and caches those that players send repeatedly.

A client that repeats a query sends the same bytes each time, one that repeats a command sends the
same except for its key, and other players' clients the same except for their tokens: parsing them
again takes a tenth of the request. So few heads are cached, however many players there are.
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
"""The largest head that is cached, and its maximum of headers: the whole cache then takes
twenty-five megabytes at most."""

_KEY_NAME: Final = b"idempotency-key"
_TOKEN_NAME: Final = b"authorization"
# In both usual spellings. Finding them is several times faster than searching with a pattern.
_KEY_PART: Final = b"dempotency-"
_TOKEN_PART: Final = b"uthorization: Bearer "
_TOKEN = re.compile(rb"\r\n[Aa]uthorization: Bearer ([\x21-\x7e]+)\r\n")
_KEY = re.compile(rb"\r\n(?i:idempotency-key):[ \t]*([\x21-\x7e]{1,255})[ \t]*\r\n")


class HeadReader:
    """Parses heads within the limits of ``settings``; one for each server."""

    __slots__ = ("_bytes_max", "_known", "limits")

    def __init__(self, settings: HttpSettings) -> None:
        self.limits = HeadLimits.of(settings)
        self._bytes_max = min(HEAD_BYTES_MAX, self.limits.bytes_max)
        # By all bytes but the token and the idempotency key: those before, between and after.
        self._known: OrderedDict[tuple[bytes, ...], Head] = OrderedDict()

    def read(self, raw: bytes) -> Head:
        """Parse a whole head; the result must not be mutated.

        Raises: as `parse_head`.
        """
        if len(raw) > self._bytes_max:
            return parse_head(raw, self.limits)
        # Each from the end of the line before.
        part = raw.find(_TOKEN_PART)
        token = None if part < 0 else _TOKEN.match(raw, part - 3)
        part = raw.find(_KEY_PART)
        key = None if part < 0 else _KEY.search(raw, part - 3)
        name = _around(raw, token, key)
        head = self._known.get(name)
        if head is None:
            return self._parse(raw, name, has_token=token is not None, has_key=key is not None)
        if token is None and key is None:
            return head
        return head.with_own(token and token[1], key and key[1])

    def _parse(
        self, raw: bytes, name: tuple[bytes, ...], *, has_token: bool, has_key: bool
    ) -> Head:
        """Parse a head, and cache it under this name if the name identifies it."""
        head = parse_head(raw, self.limits)
        fields = head.fields
        # With two keys, or tokens, only one was cut out of the name; and a request with a body but
        # without a key is not a command that is sent repeatedly.
        comes_again = len(fields.all(_KEY_NAME)) == 1 if has_key else head.length == 0
        if has_token and len(fields.all(_TOKEN_NAME)) != 1:
            comes_again = False
        if comes_again and len(fields.items()) <= HEADERS_MAX:
            self._known[name] = head
            if len(self._known) > HEADS_MAX:
                self._known.popitem(last=False)
        return head


def _around(
    raw: bytes, token: re.Match[bytes] | None, key: re.Match[bytes] | None
) -> tuple[bytes, ...]:
    """Return the bytes around what was found."""
    found = token or key
    if found is None:
        return (raw,)
    begin, end = found.span(1)
    if token is None or key is None:
        return raw[:begin], raw[end:]
    first, last = key.span(1)
    if first < begin:
        begin, end, first, last = first, last, begin, end
    return raw[:begin], raw[end:first], raw[last:]
