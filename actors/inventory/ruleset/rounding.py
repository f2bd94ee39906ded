"""Rounding as a ruleset states it: ``floor``, ``ceil`` or ``nearest``, in steps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias, cast

from actors.inventory.ruleset.exact import Number, half_up

Mode: TypeAlias = Literal["floor", "ceil", "nearest"]

_SPELLING = re.compile(r"(floor|ceil|nearest)(?: ([0-9]{1,9}(?:\.[0-9]{1,3})?))?")


@dataclass(frozen=True, slots=True)
class Rounding:
    """To multiples of ``step``; ``nearest`` takes halves up."""

    mode: Mode
    step: Fraction = Fraction(1)

    def applied(self, value: Number) -> Number:
        """Return the rounded value."""
        steps = value / self.step
        if self.mode == "floor":
            return steps.__floor__() * self.step
        if self.mode == "ceil":
            return steps.__ceil__() * self.step
        return half_up(steps) * self.step


def parse_rounding(text: str) -> Rounding:
    """Return what ``text`` spells, such as ``nearest 5``; raises ValueError for anything else."""
    matched = _SPELLING.fullmatch(text)
    step = Fraction(matched[2] or 1) if matched else Fraction(0)
    if matched is None or step == 0:
        raise ValueError(
            f"{text!r} is not a rounding: write floor, ceil or nearest, with a step unless it is 1"
        )
    return Rounding(cast("Mode", matched[1]), step)
