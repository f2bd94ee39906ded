"""Exact arithmetic for formulas, so that no result depends on float noise.

A `Number` is an integer or a fraction in lowest terms.  Powers with a fractional exponent and
``exp`` are computed to 90 decimal digits and marked inexact; an inexact value that lies within
10^-30 of a multiple of 0.0005 is taken for that multiple.
"""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import TypeAlias

from actors.inventory.ruleset.errors import FormulaError, TooLarge

Number: TypeAlias = int | Fraction

RESULT_MAX = 10**18
"""No result of a ruleset may be larger."""

BITS_MAX = 16_384
DIGITS = 90
NOISE = Fraction(1, 10**30)
GRID = 2000
"""Parts of 1 that noise is snapped to: the steps that a ruleset rounds to, and their halves."""
EXPONENT_MAX = 92  # e^92 is about 10^40: with 90 digits its error is still far below NOISE
ROOT_MAX = 64
OUT_OF_BOUNDS = "the value grows without bound"


def exact(value: float) -> Number:
    """Return the number as it is written: 1.1 is 11/10, not its nearest binary fraction."""
    return value if isinstance(value, int) else simplified(Fraction(repr(value)))


def checked(value: Number) -> Number:
    """Return the value; raises TooLarge if it exceeds what a ruleset may result in."""
    if not -RESULT_MAX <= value <= RESULT_MAX:
        raise TooLarge("the value is larger than 10^18")
    return value


def simplified(value: Number) -> Number:
    """Return the value as an int if it is whole: int arithmetic is many times faster."""
    return value.numerator if value.denominator == 1 else value


def bounded(value: Number) -> Number:
    """Return the value; raises TooLarge if its digits would slow everything down."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > BITS_MAX:
        raise TooLarge(OUT_OF_BOUNDS)
    return simplified(value)


def divided(left: Number, right: Number) -> Number:
    """Return the exact quotient; raises FormulaError for a division by zero."""
    if right == 0:
        raise FormulaError("division by zero")
    return bounded(Fraction(left) / right)


def power(base: Number, exponent: Number) -> tuple[Number, bool]:
    """Return ``base ** exponent`` and whether it is exact."""
    if exponent.denominator == 1:
        return _whole_power(base, exponent.numerator), True
    if base < 0:
        raise FormulaError("a negative number cannot be raised to a fractional power")
    if base == 0:
        return _whole_power(0, 1 if exponent > 0 else -1), True
    root = _exact_root(base, exponent.denominator)
    if root is not None:
        return _whole_power(root, exponent.numerator), True
    with localcontext(Context(prec=DIGITS)):
        return _exponential(_decimal(base).ln() * _decimal(exponent)), False


def exponential(value: Number) -> tuple[Number, bool]:
    """Return ``e ** value`` and whether it is exact (for 0 alone)."""
    if value == 0:
        return 1, True
    if not -BITS_MAX < value < BITS_MAX:
        raise TooLarge(OUT_OF_BOUNDS)
    with localcontext(Context(prec=DIGITS)):
        return _exponential(_decimal(value)), False


def without_noise(value: Number) -> Number:
    """Return the multiple of 0.0005 that an inexact value stands for, else the value itself."""
    nearest = simplified(Fraction(half_up(value * GRID), GRID))
    return nearest if -NOISE < value - nearest < NOISE else value


def half_up(value: Number) -> int:
    """Return the nearest integer; halves go up."""
    return (2 * value.numerator + value.denominator) // (2 * value.denominator)


def _whole_power(base: Number, exponent: int) -> Number:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent) > BITS_MAX:
        raise TooLarge(OUT_OF_BOUNDS)
    if base == 0 and exponent < 0:
        raise FormulaError("division by zero")
    return bounded(Fraction(base) ** exponent)


def _exact_root(base: Number, degree: int) -> Number | None:
    if degree > ROOT_MAX:
        return None
    numerator, denominator = (
        _integer_root(part, degree) for part in (base.numerator, base.denominator)
    )
    if numerator**degree == base.numerator and denominator**degree == base.denominator:
        return simplified(Fraction(numerator, denominator))
    return None


def _integer_root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        if middle**degree <= value:
            low = middle
        else:
            high = middle - 1
    return low


def _decimal(value: Number) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _exponential(value: Decimal) -> Number:
    if not -BITS_MAX / 8 < value < EXPONENT_MAX:
        raise TooLarge(OUT_OF_BOUNDS)
    return Fraction(value.exp())
