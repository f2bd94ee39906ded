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


class ClockMeter(Protocol):
    """Told of each tick of the world clock; raises nothing and takes next to no time."""

    def ticked(self, late_seconds: float) -> None:
        """Take note of a tick that was published so long after it was due."""
        ...


class _NoMeter:
    """Lets everything pass unmeasured."""

    def committed(self, units: int, seconds: float) -> None:
        """Forget it."""

    def read(self, queries: int, seconds: float) -> None:
        """Forget it."""


class _NoClockMeter:
    """Lets every tick pass unmeasured."""

    def ticked(self, late_seconds: float) -> None:
        """Forget it."""


NO_METER: Final[Meter] = _NoMeter()
"""For an actor that nobody measures."""

NO_CLOCK_METER: Final[ClockMeter] = _NoClockMeter()
"""For a world clock that nobody measures."""
