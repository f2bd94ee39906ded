"""The compiler: a typed document and its parameters become a `Ruleset`, or a list of problems."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from actors.inventory.ruleset import prices
from actors.inventory.ruleset.arrangement import arranged
from actors.inventory.ruleset.effects import duration_table, effects_of
from actors.inventory.ruleset.errors import Problem, RulesetError
from actors.inventory.ruleset.exact import exact
from actors.inventory.ruleset.model import (
    SECTIONS,
    Asset,
    Balance,
    Kind,
    Queue,
    Resource,
    Transfers,
)
from actors.inventory.ruleset.modifiers import duration_factors, production_bonuses
from actors.inventory.ruleset.names import name_problems
from actors.inventory.ruleset.requirements import report_circles, requirements_of
from actors.inventory.ruleset.rounding import parse_rounding
from actors.inventory.ruleset.ruleset import Ruleset
from actors.inventory.ruleset.scope import Scope, Span
from actors.inventory.ruleset.sheets import DurationRule, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.rounding import Mode
    from actors.inventory.ruleset.schema import AssetTable, Document, UnitDefaults
    from actors.inventory.ruleset.scope import Costs
    from actors.inventory.ruleset.sheets import Factor

ADDRESSES_MAX = 2_000


def compile_document(
    document: Document,
    *,
    file: str,
    name: str,
    version: str,
    archive: str,
    parameters: Mapping[str, int | float],
) -> Ruleset:
    """Return the ruleset; raises RulesetError with everything wrong in its content.

    ``parameters`` are all world parameters in force.
    """
    scope = Scope(
        document=document,
        parameters={key: exact(value) for key, value in parameters.items()},
        addresses=_addresses(document),
        problems=name_problems(document),
    )
    if scope.problems:
        raise RulesetError(file, scope.problems)
    if sum(map(len, scope.addresses.values())) > ADDRESSES_MAX:
        message = f"a ruleset has at most {ADDRESSES_MAX} assets, instances counted"
        raise RulesetError(file, [Problem("", message)])
    build = _Build(scope)
    ruleset = build.ruleset(name=name, version=version, archive=archive, parameters=parameters)
    if scope.problems:
        raise RulesetError(file, scope.problems)
    return ruleset


def _addresses(document: Document) -> dict[str, tuple[str, ...]]:
    """Return the addresses of every asset by name: instances are numbered from 1."""
    found: dict[str, tuple[str, ...]] = {}
    for name, building in document.buildings.items():
        several = tuple(f"{name}:{n}" for n in range(1, building.instances + 1))
        found[name] = several if building.instances > 1 else (name,)
    for name in (*document.technologies, *document.units):
        found[name] = (name,)
    return found


class _Build:
    """One compilation, from costs (which determine how many levels there are) to the ruleset."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.document = scope.document
        sections: dict[Kind, Mapping[str, AssetTable]] = {
            "building": self.document.buildings,
            "technology": self.document.technologies,
            "unit": self.document.units,
        }
        self.kinds: dict[str, Kind] = {
            name: kind for kind, tables in sections.items() for name in tables
        }
        self.tables = {
            name: (f"{SECTIONS[kind]}.{name}", table)
            for kind, tables in sections.items()
            for name, table in tables.items()
        }

    def ruleset(
        self, *, name: str, version: str, archive: str, parameters: Mapping[str, int | float]
    ) -> Ruleset:
        """Return the ruleset; faults have been reported to the scope."""
        costs = self._costs()
        factors = duration_factors(self.scope, self.kinds)
        sheets = {name: self._sheet(name, costs[name], factors[name]) for name in self.tables}
        producers = {
            resource: tuple(name for name in sheets if sheets[name].effects.produces(resource))
            for resource in self.document.resources
        }
        resources = {name: self._resource(name) for name in self.document.resources}
        modes: dict[str, Mode] = {
            name: table.rounding for name, table in self.document.balances.items()
        }
        bonuses = production_bonuses(self.scope, self.kinds, producers)
        report_circles(self.scope, self.tables)
        return Ruleset(
            name=name,
            version=version,
            title=self.document.title or name,
            description=self.document.description,
            parameters=MappingProxyType(dict(parameters)),
            resources=MappingProxyType(resources),
            balances=MappingProxyType(
                {
                    name: Balance(
                        name, table.title or _title(name), table.description, table.rounding
                    )
                    for name, table in self.document.balances.items()
                }
            ),
            queues=MappingProxyType(self._queues()),
            assets=MappingProxyType(self._assets(costs)),
            transfers=_transfers(self.document),
            archive=archive,
            addresses=MappingProxyType(dict(self.scope.addresses)),
            sheets=MappingProxyType(sheets),
            duration_rule=self._duration_rule(),
            works=arranged(sheets, self.scope.addresses, resources, modes, bonuses),
        )

    def _costs(self) -> dict[str, Costs]:
        """Return all prices, noting every asset's maximum level."""
        found: dict[str, Costs] = {}
        document, defaults = self.document, self.document.defaults
        for name, building in document.buildings.items():
            where = self.tables[name][0]
            found[name] = prices.leveled_costs(self.scope, where, building, defaults.buildings)
        for name, technology in document.technologies.items():
            where = self.tables[name][0]
            found[name] = prices.leveled_costs(self.scope, where, technology, defaults.technologies)
        self.scope.last_levels.update({name: len(costs) for name, costs in found.items()})
        for name, unit in document.units.items():
            found[name] = prices.unit_cost(self.scope, self.tables[name][0], unit, defaults.units)
        return found

    def _defaults(self, name: str) -> UnitDefaults:
        defaults = self.document.defaults
        kinds: dict[Kind, UnitDefaults] = {
            "building": defaults.buildings,
            "technology": defaults.technologies,
            "unit": defaults.units,
        }
        return kinds[self.kinds[name]]

    def _sheet(self, name: str, costs: Costs, factors: tuple[Factor, ...]) -> Sheet:
        where, table = self.tables[name]
        leveled = self.kinds[name] != "unit"
        last = len(costs)
        paid = Span(name, 1, last, costs, leveled=leveled)
        own = Span(name, 0 if leveled else 1, last, leveled=leveled)
        return Sheet(
            name=name,
            kind=self.kinds[name],
            costs=costs,
            duration=duration_table(self.scope, where, table, self._defaults(name), paid),
            duration_factors=factors,
            effects=effects_of(self.scope, where, table, own),
        )

    def _resource(self, name: str) -> Resource:
        table, where = self.document.resources[name], f"resources.{name}"
        income = self._whole(f"{where}.base_per_hour", table.base_per_hour)
        room = (
            None
            if table.base_capacity is None
            else self._whole(f"{where}.base_capacity", table.base_capacity)
        )
        title = table.title or _title(name)
        return Resource(name, table.start, income, room, title, table.description)

    def _whole(self, where: str, value: float | str) -> int:
        """Return the value rounded down, or 0 with a report."""
        amount = self.scope.constant(where, value)
        if amount is not None and amount < 0:
            self.scope.report(where, "is less than 0")
        return 0 if amount is None else amount.__floor__()

    def _queues(self) -> dict[str, Queue]:
        return {
            name: Queue(
                name, table.slots, table.length, table.title or _title(name), table.description
            )
            for name, table in self.document.queues.items()
        }

    def _assets(self, costs: Mapping[str, Costs]) -> dict[str, Asset]:
        found: dict[str, Asset] = {}
        for name, (where, table) in self.tables.items():
            queue, refund = self._queue(name), self._refund(name)
            needs = requirements_of(self.scope, where, table, self.kinds)
            for address in self.scope.addresses[name]:
                number = address.partition(":")[2]
                found[address] = Asset(
                    address=address,
                    name=name,
                    kind=self.kinds[name],
                    queue=queue,
                    max_level=None if self.kinds[name] == "unit" else len(costs[name]),
                    refund=refund,
                    requires=needs,
                    title=f"{table.title or _title(name)} {number}".rstrip(),
                    description=table.description,
                )
        return found

    def _queue(self, name: str) -> str:
        where, table = self.tables[name]
        queue = table.queue or self._defaults(name).queue
        queues = self.document.queues
        if queue is None and len(queues) == 1:
            return next(iter(queues))
        if queue is None:
            self.scope.report(f"{where}.queue", "is missing, and there is more than one queue")
            return ""
        self.scope.known(f"{where}.queue", "queue", queues, queue)
        return queue

    def _refund(self, name: str) -> tuple[int, int]:
        where, table = self.tables[name]
        value = self._defaults(name).refund if table.refund is None else table.refund
        if not 0 <= value <= 1:
            self.scope.report(f"{where}.refund", "must lie between 0 and 1")
        return exact(value).as_integer_ratio()

    def _duration_rule(self) -> DurationRule:
        table = self.document.durations
        minimum_ms = exact(table.minimum_seconds) * 1000
        if minimum_ms.denominator != 1:
            self.scope.report("durations.minimum_seconds", "must be whole milliseconds")
        try:
            rounding = parse_rounding(table.rounding)
        except ValueError as error:
            self.scope.report("durations.rounding", str(error))
            return DurationRule("floor", 1000, 1000)
        return DurationRule(rounding.mode, int(rounding.step * 1000), int(minimum_ms))


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _transfers(document: Document) -> Transfers:
    table = document.transfers
    return Transfers(table.enabled, table.per_day_max, table.overflow)
