"""The samples of a simulation as CSV: the same setup gives the same bytes."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from app.simulation.samples import Sample

HEADINGS: Final = ("hour", "kind", "name", "mean", "p10", "p90")

_HOUR_MS: Final = 3_600_000
_MILLI: Final = Decimal("0.001")


def write_csv(samples: Iterable[Sample], file: TextIO) -> None:
    """Write a line for each figure of each sample; ``file`` is open with ``newline=""``."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADINGS)
    for sample in samples:
        hour = plain((Decimal(sample.at_ms) / _HOUR_MS).quantize(_MILLI))
        for each in sample.figures:
            numbers = (plain(each.mean), plain(each.p10), plain(each.p90))
            writer.writerow((hour, each.kind, each.name, *numbers))


def plain(number: Decimal) -> str:
    """Format a number without an exponent or trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
