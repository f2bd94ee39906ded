"""The formula language: what it means, what it refuses, and that it is exact."""

from __future__ import annotations

import math
import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.inventory.ruleset.errors import FormulaError, TooLarge
from actors.inventory.ruleset.exact import BITS_MAX, RESULT_MAX
from actors.inventory.ruleset.formula import LENGTH_MAX, parse_formula


def value(source: str, **names: int | Fraction) -> int | Fraction:
    """Return the value of a formula."""
    return parse_formula(source).value(names)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1.1", Fraction(11, 10)),
        (".5", Fraction(1, 2)),
        ("2.", 2),
        ("1e3", 1000),
        ("1.5E-2", Fraction(3, 200)),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 - 3 - 4", -5),
        ("12 / 4 / 2", Fraction(3, 2)),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("+3", 3),
        ("2 ** -2", Fraction(1, 4)),
        ("1.1 ** 3", Fraction(1331, 1000)),
        ("0 ** 0", 1),
        ("floor(-0.5)", -1),
        ("ceil(-0.5)", 0),
        ("round(0.5)", 1),
        ("round(1.5)", 2),
        ("round(-0.5)", 0),
        ("round(2.4)", 2),
        ("min(3, 1, 2)", 1),
        ("max(3, 1 / 2)", 3),
        ("exp(0)", 1),
        ("4 ** 0.5", 2),
        ("(9 / 4) ** 1.5", Fraction(27, 8)),
        ("0 ** 0.5", 0),
        ("1\n  +\t1", 2),
    ],
)
def test_formula_means_what_arithmetic_means(source: str, expected: int | Fraction) -> None:
    """Every operator and function gives its exact value."""
    assert value(source) == expected


def test_formula_names_are_looked_up() -> None:
    """A name stands for the value it is given, and the formula lists its names."""
    assert value("30 * level * 1.1 ** level", level=2) == Fraction(726, 10)
    assert parse_formula("max(a, b) + a").names == {"a", "b"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("floor(2 ** 0.5 * 2 ** 0.5)", 2),
        ("ceil(2 ** 0.5 * 2 ** 0.5)", 2),
        ("2 ** 0.5 * 2 ** 0.5", 2),
        ("floor(exp(1) * exp(-1))", 1),
        ("floor(exp(2) / exp(1) / exp(1) * 7)", 7),
        ("2 ** (3 ** 0.5 * 3 ** 0.5)", 8),
        ("floor((3 ** (1 / 3)) ** 3)", 3),
        ("floor(100 * 1.1)", 110),
        ("floor(0.1 * 3 * 10)", 3),
        ("ceil(10 * 4.35 * 10)", 435),
        ("round(1.005 * 100 * 10)", 1005),
    ],
)
def test_formula_does_not_hang_on_noise(source: str, expected: int) -> None:
    """A value that is an integer counts as that integer, however it was computed."""
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("exp(1)", math.e),
        ("exp(-3.5)", math.exp(-3.5)),
        ("2 ** 0.5", 2**0.5),
        ("7 ** -1.3", 7**-1.3),
        ("2 ** (1 / 65)", 2 ** (1 / 65)),
    ],
)
def test_formula_approximates_what_is_irrational(source: str, expected: float) -> None:
    """Exponentials and roots agree with floating point as far as its precision goes."""
    assert float(value(source)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("0 ** -0.5", "division by zero"),
        ("(-8) ** (1 / 3)", "a fractional power"),
        ("", "not a formula"),
        ("1 +", "not a formula"),
        ("(1", "not a formula"),
        ("1 2", "not a formula"),
        ("2x", "cannot be parsed from '2x'"),
        ("0x10", "cannot be parsed from '0x10'"),
        ("1_000", "cannot be parsed"),
        ("1.2.3", "cannot be parsed"),
        ("007", "not a formula"),
        ("1 // 2", "operator other than"),
        ("7 % 2", "cannot be parsed from '% 2'"),
        ("1 if level else 2", "not part of the formula language"),
        ("not 1", "not part of the formula language"),
        ("lambda", "not a formula"),
        ("True", "not part of the formula language"),
        ("1, 2", "not part of the formula language"),
        ("level.real", "cannot be parsed from '.real'"),
        ("'a'", "cannot be parsed"),
        ("level[0]", "cannot be parsed from '[0]'"),
        ("__import__(1)", "unknown function '__import__'"),
        ("(1)(2)", "unknown function"),
        ("sqrt(2)", "unknown function 'sqrt'; known functions: ceil, exp, floor, max, min, round"),
        ("floor()", "floor takes one value, not 0"),
        ("floor(1, 2)", "floor takes one value, not 2"),
        ("min(1)", "min takes two values or more, not 1"),
        ("max()", "max takes two values or more, not 0"),
        ("max(1, *level)", "not part of the formula language"),
        ("min + 1", "min is a function"),
        ("1e99", "out of range"),
        ("1e-99999999999", "out of range"),
    ],
)
def test_formula_refuses_what_is_not_in_the_language(source: str, message: str) -> None:
    """A refusal says what cannot be read, is unknown or has no value."""
    with pytest.raises(FormulaError, match=re.escape(message)):
        value(source, level=1)


@pytest.mark.parametrize(
    "source",
    [
        "9 ** 9 ** 9 ** 9",
        "10 ** 18 + 1",
        "-10 ** 19",
        "2 ** 1e18",
        "0.5 ** 99999999",
        "exp(99)",
        "exp(1e18)",
        "exp(-99999)",
        "7 ** 55.5",
        "(((9 ** 999) ** 9) ** 9) ** 9",
        "2 ** 9999 * 2 ** 9999",
    ],
)
def test_formula_refuses_what_grows_beyond_bounds(source: str) -> None:
    """A value beyond 10^18 is refused, and one that could not even be computed, at once."""
    started = time.process_time()
    with pytest.raises(TooLarge):
        value(source)
    assert time.process_time() - started < 0.2


def test_formula_refuses_length_and_depth() -> None:
    """Ten kilobytes, and a thousand levels of nesting, are refused before they are parsed."""
    for source in ("1+" * 5000 + "1", "(" * 1000 + "1" + ")" * 1000, "-" * 1000 + "1"):
        with pytest.raises(FormulaError, match=f"at most {LENGTH_MAX} characters"):
            parse_formula(source)
    for source in ("floor(" * 60 + "1" + ")" * 60, "-" * 400 + "1", "2**" * 100 + "1"):
        with pytest.raises(FormulaError, match="may nest at most 40 levels deep"):
            parse_formula(source)
    with pytest.raises(FormulaError, match="not a formula"):
        parse_formula("(" * 240 + "1" + ")" * 240)


def test_formula_chains_are_not_nesting() -> None:
    """A long sum is not a deep one."""
    assert value("+".join(["1"] * 200)) == 200


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> tuple[str, Fraction]:
    """Draw a formula without division or exponents together with its value."""
    if depth == 0 or draw(st.booleans()):
        number = draw(st.decimals(-1000, 1000, places=3))
        return f"({number})", Fraction(number)
    left, a = draw(expressions(depth - 1))
    right, b = draw(expressions(depth - 1))
    form = draw(st.sampled_from(["+", "-", "*", "min", "max", "floor", "ceil", "round", "neg"]))
    text, result = {
        "+": (f"({left}+{right})", a + b),
        "-": (f"({left}-{right})", a - b),
        "*": (f"({left}*{right})", a * b),
        "min": (f"min({left},{right})", min(a, b)),
        "max": (f"max({left},{right})", max(a, b)),
        "floor": (f"floor({left})", Fraction(math.floor(a))),
        "ceil": (f"ceil({left})", Fraction(math.ceil(a))),
        "round": (f"round({left})", Fraction(math.floor(a + Fraction(1, 2)))),
        "neg": (f"(-{left})", -a),
    }[form]
    return text, result


@given(expressions())
def test_formula_equals_exact_rational_arithmetic(drawn: tuple[str, Fraction]) -> None:
    """Any formula gives the result of exact fractions, or is refused only for its size."""
    source, expected = drawn
    if len(source) > LENGTH_MAX:
        return
    if abs(expected) > RESULT_MAX:
        with pytest.raises(TooLarge):
            value(source)
    else:
        assert value(source) == expected


@given(
    st.fractions(min_value=Fraction(1, 50), max_value=50, max_denominator=50),
    st.integers(-40, 40),
)
def test_formula_powers_are_exact(base: Fraction, exponent: int) -> None:
    """Whole powers of fractions are exact, and refused only beyond the bound."""
    expected = base**exponent
    source = f"({base.numerator} / {base.denominator}) ** {exponent}"
    if expected > RESULT_MAX:
        with pytest.raises(TooLarge):
            value(source)
    else:
        assert value(source) == expected


@given(st.integers(1, 10**6), st.integers(2, 9))
def test_formula_roots_of_powers_are_exact(base: int, degree: int) -> None:
    """The n-th root of an n-th power is the number itself, without rounding."""
    assert value("(x ** n) ** (1 / n)", x=base, n=degree) == base


@given(st.text(max_size=60) | st.text("0123456789.+-*/() levlfloorminxp,e", max_size=80))
def test_formula_any_text_has_a_value_or_a_refusal(source: str) -> None:
    """Any text yields a number in bounds or a FormulaError, nothing else."""
    try:
        formula = parse_formula(source)
        result = formula.value(dict.fromkeys(formula.names, 3))
    except FormulaError:
        return
    assert abs(Fraction(result)) <= RESULT_MAX
    assert Fraction(result).denominator.bit_length() <= BITS_MAX


@given(st.integers(2, 10**6), st.integers(1, 10**9))
def test_formula_rounds_what_roots_come_to_the_right_way(base: int, parts: int) -> None:
    """A product of roots that is rational is rounded as a rational: halves up, for example."""
    amount = Fraction(parts, 2000)
    text = f"{base} ** 0.5 * {base} ** 0.5 / {base} * {parts} / 2000"
    assert parse_formula(text).value({}) == amount
    assert parse_formula(f"round({text})").value({}) == math.floor(amount + Fraction(1, 2))
    assert parse_formula(f"floor(2 * ({text}))").value({}) == math.floor(2 * amount)
