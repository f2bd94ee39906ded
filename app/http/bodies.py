"""How much of the memory requests' bodies may take, all together, on their way and in hand."""

from __future__ import annotations

from typing import Final

from app.http.errors import TooManyBodyBytes

FREE_BYTES: Final = 1024
"""What a body may have without being counted: commands have less, and are never refused for it."""


class BodyRoom:
    """The room that there is for the bodies of one HTTP front, in either lane.

    A body larger than `FREE_BYTES` is counted as it arrives, and until its request is over.
    """

    __slots__ = ("_bytes", "_bytes_max")

    def __init__(self, bytes_max: int) -> None:
        """Have room for ``bytes_max`` bytes."""
        self._bytes = 0
        self._bytes_max = bytes_max

    @property
    def bytes(self) -> int:
        """How many bytes are counted."""
        return self._bytes

    def take(self, taken: int, size: int) -> int:
        """Count a body of which ``size`` bytes have come; give how many of it are counted now.

        ``taken`` are counted so far; whoever takes gives back what is counted, whatever happens.

        Raises:
            TooManyBodyBytes: there is no room; what was counted still is.
        """
        if size <= FREE_BYTES:
            return taken
        if self._bytes - taken + size > self._bytes_max:
            raise TooManyBodyBytes
        self._bytes += size - taken
        return size

    def give_back(self, taken: int) -> None:
        """Count ``taken`` bytes no more."""
        self._bytes -= taken
