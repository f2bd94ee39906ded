"""The formula language: ``+ - * / **``, ``floor ceil round min max exp``, numbers and names.

Nothing else is understood: no attribute, no other call, no comparison.  Length, nesting and the
size of every intermediate value are bounded, so that no formula can take long.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from actors.inventory.ruleset.errors import FormulaError, TooLarge
from actors.inventory.ruleset.exact import (
    Number,
    bounded,
    checked,
    divided,
    exponential,
    half_up,
    power,
    simplified,
    without_noise,
)

LENGTH_MAX = 500
DEPTH_MAX = 40
LITERAL_EXPONENT_MAX = 30

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.])"
_TOKENS = re.compile(rf"(?: |{_NUMBER}|[A-Za-z_][A-Za-z0-9_]*|[-+*/(),])*")


@dataclass(slots=True)
class _Run:
    """One evaluation: the names' values, and whether an inexact step was taken."""

    values: Mapping[str, Number]
    inexact: bool = False

    def settled(self, value: Number) -> Number:
        return without_noise(value) if self.inexact else value

    def noted(self, result: tuple[Number, bool]) -> Number:
        value, is_exact = result
        self.inexact = self.inexact or not is_exact
        return value


_Step: TypeAlias = Callable[[_Run], Number]
_Function: TypeAlias = Callable[[_Run, list[Number]], Number]
_Operation: TypeAlias = Callable[[_Run, Number, Number], Number]

_OPERATIONS: Mapping[type[ast.operator], _Operation] = {
    ast.Add: lambda _, left, right: bounded(left + right),
    ast.Sub: lambda _, left, right: bounded(left - right),
    ast.Mult: lambda _, left, right: bounded(left * right),
    ast.Div: lambda _, left, right: divided(left, right),
    ast.Pow: lambda run, left, right: run.noted(power(left, run.settled(right))),
}

_FUNCTIONS: Mapping[str, tuple[_Function, bool]] = {  # function, and whether it takes several
    "floor": (lambda run, given: run.settled(given[0]).__floor__(), False),
    "ceil": (lambda run, given: run.settled(given[0]).__ceil__(), False),
    "round": (lambda run, given: half_up(run.settled(given[0])), False),
    "exp": (lambda run, given: run.noted(exponential(given[0])), False),
    "min": (lambda _, given: min(given), True),
    "max": (lambda _, given: max(given), True),
}

FUNCTION_NAMES = frozenset(_FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed formula; ``names`` are the values it needs."""

    source: str
    names: frozenset[str]
    step: _Step = field(repr=False)

    def value(self, values: Mapping[str, Number]) -> Number:
        """Return the exact result; raises FormulaError if there is none within bounds."""
        run = _Run(values)
        return checked(run.settled(self.step(run)))


def parse_formula(source: str) -> Formula:
    """Return the formula that ``source`` spells; raises FormulaError saying what is wrong."""
    if len(source) > LENGTH_MAX:
        raise FormulaError(f"a formula has at most {LENGTH_MAX} characters, not {len(source)}")
    text = " ".join(source.split())
    matched = _TOKENS.match(text)
    if matched is None or matched.end() < len(text):
        place = 0 if matched is None else matched.end()
        raise FormulaError(f"cannot be parsed from {text[place : place + 20]!r} on")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise FormulaError(f"{text!r} is not a formula") from error
    reader = _Reader(text)
    return Formula(text, step=reader.step(tree.body, 1), names=frozenset(reader.names))


class _Reader:
    """Turns a syntax tree into steps, and rejects anything not in the language."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()

    def step(self, node: ast.expr, depth: int) -> _Step:
        if depth > DEPTH_MAX:
            raise FormulaError(f"a formula may nest at most {DEPTH_MAX} levels deep")
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.Name():
                return self._name(node.id)
            case ast.UnaryOp(op=ast.USub()):
                return self._negated(node, depth)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.step(node.operand, depth + 1)
            case ast.BinOp():
                return self._operation(node, depth)
            case ast.Call():
                return self._call(node, depth)
            case _:
                raise FormulaError(f"{self._segment(node)!r} is not part of the formula language")

    def _segment(self, node: ast.expr) -> str:
        return self.text[node.col_offset : node.end_col_offset]

    def _number(self, node: ast.Constant) -> _Step:
        text = self._segment(node)
        exponent = text.lower().partition("e")[2]
        try:
            if exponent and abs(int(exponent)) > LITERAL_EXPONENT_MAX:
                raise TooLarge(f"the number {text} is out of range")
            value = simplified(Fraction(text))
        except ValueError as error:  # True, None: constants to Python, not to us
            raise FormulaError(f"{text!r} is not part of the formula language") from error
        return lambda _: value

    def _name(self, name: str) -> _Step:
        if name in _FUNCTIONS:
            raise FormulaError(f"{name} is a function: write {name}(…)")
        self.names.add(name)
        return lambda run: run.values[name]

    def _negated(self, node: ast.UnaryOp, depth: int) -> _Step:
        inner = self.step(node.operand, depth + 1)
        return lambda run: -inner(run)

    def _operation(self, node: ast.BinOp, depth: int) -> _Step:
        operation = _OPERATIONS.get(type(node.op))
        if operation is None:
            raise FormulaError(f"{self._segment(node)!r} uses an operator other than + - * / **")
        left = self.step(node.left, depth)  # a + b + c + … is a chain, not nesting
        right = self.step(node.right, depth + 1)
        return lambda run: operation(run, left(run), right(run))

    def _call(self, node: ast.Call, depth: int) -> _Step:
        name = self._segment(node.func)
        if name not in _FUNCTIONS:
            known = ", ".join(sorted(_FUNCTIONS))
            raise FormulaError(f"unknown function {name!r}; known functions: {known}")
        function, several = _FUNCTIONS[name]
        count = len(node.args)
        if node.keywords or count == 0 or (count == 1) == several:
            wanted = "two values or more" if several else "one value"
            raise FormulaError(f"{name} takes {wanted}, not {count}")
        given = [self.step(argument, depth + 1) for argument in node.args]
        return lambda run: function(run, [argument(run) for argument in given])
