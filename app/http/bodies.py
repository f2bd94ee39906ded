"""Bounds the memory of all request bodies together, while arriving and in flight."""

from __future__ import annotations

from typing import Final

from app.http.errors import TooManyBodyBytes

FREE_BYTES: Final = 1024
"""The size up to which a body is not counted: commands are smaller, and never refused for it."""


class BodyRoom:
    """The room for the bodies of one HTTP front, in either lane.

    A body larger than `FREE_BYTES` is counted as it arrives and until its request is over.
    """

    __slots__ = ("_bytes", "_bytes_max")

    def __init__(self, bytes_max: int) -> None:
        """Make room for ``bytes_max`` bytes."""
        self._bytes = 0
        self._bytes_max = bytes_max

    @property
    def bytes(self) -> int:
        """How many bytes are counted now."""
        return self._bytes

    def take(self, taken: int, size: int) -> int:
        """Count a body of which ``size`` bytes have arrived; return how many are counted now.

        ``taken`` bytes of it were counted before. The caller must give back what is counted,
        whatever happens.

        Raises:
            TooManyBodyBytes: there is no room; ``taken`` bytes remain counted.
        """
        if size <= FREE_BYTES:
            return taken
        if self._bytes - taken + size > self._bytes_max:
            raise TooManyBodyBytes
        self._bytes += size - taken
        return size

    def give_back(self, taken: int) -> None:
        """Stop counting ``taken`` bytes."""
        self._bytes -= taken
