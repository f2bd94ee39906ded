"""Amounts in grains: the unit in which production is exact.

One whole unit of a resource is 3,600,000 grains, the milliseconds of an hour, so that a rate of
``n`` units per hour is exactly ``n`` grains per millisecond. Nothing is ever rounded between a
production and the stock it fills; only the amounts that people see, and that an order may spend,
are the floor in whole units.
"""

from __future__ import annotations

from typing import Final

GRAINS_PER_UNIT: Final = 3_600_000
"""Grains in one whole unit; also the milliseconds in an hour, which is why it is exact."""

AMOUNT_MAX: Final = 10**15
"""The maximum of one resource, in whole units, that production, grants and transfers may reach."""

CEILING_GRAINS_MAX: Final = AMOUNT_MAX * GRAINS_PER_UNIT
"""Where the stock of a resource without a capacity stops growing."""

LATEST_MS: Final = 253_402_300_799_999
"""The end of the year 9999, the last moment that RFC 3339 can write."""


def to_grains(units: int) -> int:
    """Return whole units in grains."""
    return units * GRAINS_PER_UNIT


def to_units(grains: int) -> int:
    """Return the floor of an amount in whole units: the amount shown, which may be spent."""
    return grains // GRAINS_PER_UNIT
