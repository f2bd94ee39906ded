"""What actors tell of the time that their work takes, to whoever measures it."""

from __future__ import annotations

from typing import Final, Protocol


class Meter(Protocol):
    """Told of each piece of work as it ends; raises nothing and takes next to no time."""

    def committed(self, units: int, seconds: float) -> None:
        """Take note of a commit of ``units`` units, tried together, that took so long."""
        ...

    def read(self, queries: int, seconds: float) -> None:
        """Take note of ``queries`` queries answered together, which took so long."""
        ...


class _NoMeter:
    """Lets everything pass unmeasured."""

    def committed(self, units: int, seconds: float) -> None:
        """Forget it."""

    def read(self, queries: int, seconds: float) -> None:
        """Forget it."""


NO_METER: Final[Meter] = _NoMeter()
"""For an actor that nobody measures."""
