"""How actors report the time that their work takes, to be measured."""

from __future__ import annotations

from typing import Final, Protocol


class Meter(Protocol):
    """Receives each piece of work as it ends; must not raise, and takes next to no time."""

    def committed(self, units: int, seconds: float) -> None:
        """Record a commit of ``units`` units, tried together, that took this long."""
        ...

    def read(self, queries: int, seconds: float) -> None:
        """Record ``queries`` queries answered together, which took this long."""
        ...


class ClockMeter(Protocol):
    """Receives each tick of the world clock; must not raise, and takes next to no time."""

    def ticked(self, late_seconds: float) -> None:
        """Record a tick published this long after it was due."""
        ...


class _NoMeter:
    """Measures nothing."""

    def committed(self, units: int, seconds: float) -> None:
        """Ignore it."""

    def read(self, queries: int, seconds: float) -> None:
        """Ignore it."""


class _NoClockMeter:
    """Measures no tick."""

    def ticked(self, late_seconds: float) -> None:
        """Ignore it."""


NO_METER: Final[Meter] = _NoMeter()
"""For an actor that nobody measures."""

NO_CLOCK_METER: Final[ClockMeter] = _NoClockMeter()
"""For a world clock that nobody measures."""
