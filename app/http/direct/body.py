"""Extracts a request's body from the bytes after its head; pure: bytes in, bytes out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from app.http.errors import HeadersTooLarge, MalformedRequest, PayloadTooLarge

if TYPE_CHECKING:
    from app.http.settings import HttpSettings

LINE_BYTES_MAX: Final = 256
"""How long the line before a chunk may be, with its extensions."""

DATA_PER_FRAMING: Final = 16
"""How many bytes of data allow the lines before the chunks one more byte."""

# A space before an extension is allowed (RFC 9112, 7.1.1), but h11 does not accept one.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*|;[\t\x20-\x7e\x80-\xff]*)\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")

# In a trailer, too late for the request's framing or its host (RFC 9110, 6.5.1).
_FRAMING = re.compile(rb"(?:transfer-encoding|content-length|host):", re.IGNORECASE)


class LengthBody:
    """A body of a stated length."""

    __slots__ = ("_left", "_length", "_parts")

    def __init__(self, length: int, bytes_max: int) -> None:
        """Expect ``length`` bytes.

        Raises:
            PayloadTooLarge: it is more than ``bytes_max``.
        """
        if length > bytes_max:
            raise PayloadTooLarge(f"a body may have at most {bytes_max} bytes")
        self._left = self._length = length
        self._parts: list[bytes] = []

    @property
    def size(self) -> int:
        """How many bytes of it have arrived."""
        return self._length - self._left

    def feed(self, data: bytes) -> bytes | None:
        """Take received data; return what follows the body once it is complete, otherwise None."""
        if len(data) < self._left:
            self._left -= len(data)
            self._parts.append(data)
            return None
        self._parts.append(data[: self._left])
        rest = data[self._left :]
        self._left = 0
        return rest

    def value(self) -> bytes:
        """Return the whole body."""
        return b"".join(self._parts)


class ChunkedBody:
    """A chunked body (RFC 9112, 7.1), without its extensions and trailers.

    The lines before the chunks may have ``framing_bytes_max`` bytes together, and a byte more for
    each `DATA_PER_FRAMING` bytes of data: many small chunks cost more work than they are worth.
    """

    __slots__ = (
        "_at",
        "_bytes_max",
        "_chunk_left",
        "_data",
        "_framing_left",
        "_held",
        "_state",
        "_trailers_left",
    )

    def __init__(self, bytes_max: int, framing_bytes_max: int) -> None:
        """Accept up to ``bytes_max`` bytes of data, and trailers of up to ``framing_bytes_max``."""
        self._bytes_max = bytes_max
        self._framing_left = framing_bytes_max
        self._trailers_left = framing_bytes_max
        self._chunk_left = 0
        self._data = bytearray()
        self._held = b""
        self._at = 0  # how much of what is held has been read
        self._state = self._size

    @property
    def size(self) -> int:
        """How many bytes of data have arrived."""
        return len(self._data)

    def feed(self, data: bytes) -> bytes | None:
        """Take received data; return what follows the body once it is complete, otherwise None.

        Raises:
            MalformedRequest: the chunks are not what they say they are.
            PayloadTooLarge, HeadersTooLarge: the data, the framing or the trailers are too large.
        """
        self._held += data
        while self._state():
            pass
        # Once, not with each chunk: the data may contain thousands.
        self._held = self._held[self._at :]
        self._at = 0
        return self._held if self._state == self._over else None

    def value(self) -> bytes:
        """Return the whole body."""
        return bytes(self._data)

    def _size(self) -> bool:
        line = self._line(LINE_BYTES_MAX)
        if line is None:
            return False
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise MalformedRequest("a chunk does not state its length")
        self._framing_left -= len(line)
        if self._framing_left + len(self._data) // DATA_PER_FRAMING < 0:
            raise PayloadTooLarge("the body consists of too many small chunks")
        self._chunk_left = int(match[1], 16)
        if self._chunk_left > self._bytes_max - len(self._data):
            raise PayloadTooLarge(f"a body may have at most {self._bytes_max} bytes")
        self._state = self._chunk if self._chunk_left else self._trailer
        return True

    def _chunk(self) -> bool:
        piece = self._held[self._at : self._at + self._chunk_left]
        self._data += piece
        self._at += len(piece)
        self._chunk_left -= len(piece)
        if self._chunk_left:
            return False
        self._state = self._chunk_end
        return self._at < len(self._held)

    def _chunk_end(self) -> bool:
        end = self._held[self._at : self._at + 2]
        if not b"\r\n".startswith(end):
            raise MalformedRequest("a chunk is longer than stated")
        if len(end) < 2:  # noqa: PLR2004 - CR and LF
            return False
        self._at += 2
        self._state = self._size
        return True

    def _trailer(self) -> bool:
        line = self._line(self._trailers_left)
        if line is None:
            return False
        self._trailers_left -= len(line)
        if line == b"\r\n":
            self._state = self._over
        elif _TRAILER.fullmatch(line) is None or _FRAMING.match(line) is not None:
            raise MalformedRequest(
                "the last chunk is followed by something other than a valid trailer"
            )
        return True

    def _over(self) -> bool:
        return False

    def _line(self, bytes_max: int) -> bytes | None:
        """Take a line from the buffer; None while there is no complete one."""
        end = self._held.find(b"\n", self._at) + 1
        if (end or len(self._held)) - self._at > bytes_max:
            raise HeadersTooLarge("the lines between the chunks are too long")
        if not end:
            return None
        line, self._at = self._held[self._at : end], end
        return line


Body: TypeAlias = LengthBody | ChunkedBody
"""A body, however it is framed."""


def new_body(length: int | None, settings: HttpSettings) -> Body:
    """Expect a body of this length, or a chunked one if it is None.

    Raises:
        PayloadTooLarge: it is too long.
    """
    if length is None:
        return ChunkedBody(settings.max_body_bytes, settings.max_header_bytes)
    return LengthBody(length, settings.max_body_bytes)
