"""The compiler's workbench: parameters, problems found so far, formulas turned into tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from actors.inventory.ruleset.errors import FormulaError, Problem, TooLarge
from actors.inventory.ruleset.exact import Number, checked, exact, simplified
from actors.inventory.ruleset.formula import Formula, parse_formula
from actors.inventory.ruleset.names import COST_PREFIX, OWN_LEVEL, unknown
from actors.inventory.ruleset.schema import SeriesTable, Value
from actors.inventory.ruleset.tables import Axis, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from actors.inventory.ruleset.schema import Document, Plain

TABLE_ENTRIES_MAX = 20_000
ENTRIES_MAX = 500_000

Costs: TypeAlias = tuple["Mapping[str, int]", ...]


@dataclass(frozen=True, slots=True)
class Span:
    """The levels that a table covers; ``costs`` begin at level 1 if they are needed.

    A unit has no level: its span is ``leveled`` False, from 1 to 1.
    """

    owner: str
    first: int
    last: int
    costs: Costs = ()
    leveled: bool = True


@dataclass(slots=True)
class Scope:
    """The state shared while one document is compiled: it only accumulates.

    ``last_levels`` are the maximum levels of buildings and technologies, known once the costs are.
    """

    document: Document
    parameters: Mapping[str, Number]
    addresses: Mapping[str, tuple[str, ...]]
    last_levels: dict[str, int] = field(default_factory=dict[str, int])
    problems: list[Problem] = field(default_factory=list[Problem])
    formulas: dict[str, Formula] = field(default_factory=dict[str, Formula])
    entries: int = 0

    def report(self, where: str, message: str) -> None:
        """Record a problem; compilation continues, so that all are found."""
        self.problems.append(Problem(where, message))

    def known(self, where: str, what: str, names: Collection[str], name: str) -> bool:
        """Return whether ``name`` is among ``names``, and report it if it is not."""
        if name not in names:
            self.report(where, unknown(what, name, names))
        return name in names

    def formula(self, where: str, source: str, known: Collection[str]) -> Formula | None:
        """Return the formula, or None and a report; it may name parameters and ``known``."""
        try:
            formula = self.formulas.get(source) or parse_formula(source)
        except FormulaError as error:
            self.report(where, str(error))
            return None
        self.formulas[source] = formula
        strange = sorted(formula.names - self.parameters.keys() - set(known))
        for name in strange:
            self.report(where, self._strange(name, known))
        return None if strange else formula

    def take(self, where: str, size: int) -> bool:
        """Count values; report it, and return False, once the ruleset has too many."""
        if self.entries <= ENTRIES_MAX < self.entries + size:
            self.report(where, f"the ruleset has more than {ENTRIES_MAX} values")
        self.entries += size
        return self.entries <= ENTRIES_MAX

    def constant(self, where: str, value: Plain) -> Number | None:
        """Return a number, or a formula of world parameters, as its exact value."""
        formula = self.formula(where, value, ()) if isinstance(value, str) else None
        if isinstance(value, str) and formula is None:
            return None
        try:
            result = formula.value(self.parameters) if formula else exact(_number(value))
        except FormulaError as error:
            self.report(where, str(error))
            return None
        return self._in_bounds(where, result)

    def series(self, where: str, value: list[float] | SeriesTable) -> tuple[Number, ...] | None:
        """Return the values of a list, one per level, or None and a report.

        An empty list is reported when its length is compared with the number of levels.
        """
        if isinstance(value, list):
            value = SeriesTable(levels=value)
        times = self.constant(f"{where}.times", value.times)
        if times is None:
            return None
        places = enumerate(value.levels)
        found = [self._in_bounds(f"{where}[{n}]", exact(number) * times) for n, number in places]
        values = tuple(simplified(number) for number in found if number is not None)
        return values if values and len(values) == len(found) else None

    def table(
        self, where: str, value: Value, span: Span, *, alone: bool = False
    ) -> Table[Number] | None:
        """Return ``value`` for every level of ``span``, or None and a report.

        ``alone``: the formula may not name other assets.
        """
        if isinstance(value, int | float):
            constant = self.constant(where, value)
            return None if constant is None else Table((constant,), 0)
        if not isinstance(value, str):
            values = self.series(where, value)
            return None if values is None else Table(values, len(values) - 1)
        others = {} if alone else {n: v for n, v in self.last_levels.items() if n != span.owner}
        costs = {COST_PREFIX + name for name in self.document.resources if span.costs}
        own: Collection[str] = OWN_LEVEL if span.leveled else ()
        formula = self.formula(where, value, {*own, *costs, *others})
        if formula is None:
            return None
        return self._tabled(where, formula, span, [n for n in others if n in formula.names])

    def _tabled(
        self, where: str, formula: Formula, span: Span, others: Sequence[str]
    ) -> Table[Number] | None:
        own = range(span.first, span.last + 1)
        if not formula.names - self.parameters.keys() - set(others):
            own = range(span.first, span.first + 1)  # the same at each of its own levels
        ranges = [range(self.last_levels[name] + 1) for name in others]
        axes: list[Axis] = []
        size = len(own)
        for name, levels in zip(others, ranges, strict=True):
            axes.append(Axis(self.addresses[name], levels[-1], size))
            size *= len(levels)
        if not self._fits(where, size):
            return None
        values: list[Number] = []
        # The first axis varies slowest in product(), so the axes go in from the last.
        for *rest, level in itertools.product(*reversed(ranges), own):
            names = dict(zip(others, reversed(rest), strict=True))
            result = self._at_level(where, formula, span, level, names)
            if result is None:
                return None
            values.append(result)
        return Table(tuple(values), len(own) - 1, tuple(axes))

    def _at_level(
        self, where: str, formula: Formula, span: Span, level: int, names: Mapping[str, int]
    ) -> Number | None:
        values = {**self.parameters, **names, "level": level, "L": level}
        if span.costs:
            price = span.costs[level - 1]
            for name in self.document.resources:
                values[COST_PREFIX + name] = price.get(name, 0)
        try:
            return formula.value(values)
        except FormulaError as error:
            places = [("level", level)] * span.leveled + list(names.items())
            at = "at " + ", ".join(f"{name} {n}" for name, n in places) + ": " if places else ""
            self.report(where, f"{at}{error}")
            return None

    def _fits(self, where: str, size: int) -> bool:
        if size > TABLE_ENTRIES_MAX:
            self.report(
                where,
                f"a table of {size} values; at most {TABLE_ENTRIES_MAX} (an asset that acts as a "
                "factor belongs in modifiers)",
            )
            return False
        return self.take(where, size)

    def _in_bounds(self, where: str, value: Number) -> Number | None:
        try:
            return checked(value)
        except TooLarge as error:
            self.report(where, str(error))
            return None

    def _strange(self, name: str, known: Collection[str]) -> str:
        document = self.document
        if name in document.units:
            return f"{name!r} is a unit: formulas name only levels of buildings and technologies"
        if name in OWN_LEVEL:
            return "a unit has no level, and neither has the world"
        if name in document.buildings or name in document.technologies:
            return f"{name!r} cannot be named here; the asset's own level is called level"
        return unknown("name", name, [*self.parameters, *known])


def _number(value: Plain) -> float:
    return 0 if isinstance(value, str) else value
