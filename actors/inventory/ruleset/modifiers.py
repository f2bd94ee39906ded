"""Modifiers: assets that change what others take or make, compiled to factors by level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.inventory.ruleset.effects import shares_by_level
from actors.inventory.ruleset.schema import DurationModifier, ProductionModifier
from actors.inventory.ruleset.scope import Span
from actors.inventory.ruleset.sheets import Bonus, Factor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from actors.inventory.ruleset.model import Kind
    from actors.inventory.ruleset.schema import Modifier, TechnologyTable
    from actors.inventory.ruleset.scope import Scope


def duration_factors(scope: Scope, kinds: Mapping[str, Kind]) -> dict[str, tuple[Factor, ...]]:
    """Return, by asset name, the factors on its duration; ``kinds`` are all assets'."""
    found: dict[str, list[Factor]] = {name: [] for name in kinds}
    for owner, where, modifier in _modifiers(scope):
        if not isinstance(modifier, DurationModifier):
            continue
        span = Span(owner, 0, scope.last_levels[owner])
        values = shares_by_level(scope, f"{where}.factor", modifier.factor, span, zero=False)
        factor = Factor(owner, scope.addresses[owner], values, len(values) - 1)
        if not modifier.kinds and not modifier.assets:
            scope.report(where, "names what it changes neither in kinds nor in assets")
        for name in _known_assets(scope, where, modifier, kinds):
            found[name].append(factor)
        for name, kind in kinds.items():
            if kind in modifier.kinds and name not in modifier.assets:
                found[name].append(factor)
    return {name: tuple(factors) for name, factors in found.items()}


def production_bonuses(
    scope: Scope, kinds: Mapping[str, Kind], producers: Mapping[str, tuple[str, ...]]
) -> tuple[Bonus, ...]:
    """Return the bonuses; ``producers`` names the assets that make each resource."""
    bonuses: list[Bonus] = []
    for owner, where, modifier in _modifiers(scope):
        if not isinstance(modifier, ProductionModifier):
            continue
        span = Span(owner, 0, scope.last_levels[owner])
        shares = shares_by_level(scope, f"{where}.share", modifier.share, span, zero=True)
        resource = modifier.resource
        if not scope.known(f"{where}.resource", "resource", scope.document.resources, resource):
            continue
        makers = producers.get(resource, ())
        chosen = _known_assets(scope, where, modifier, kinds)
        for name in chosen:
            if name not in makers:
                scope.report(f"{where}.assets", f"{name} does not produce {resource}")
        addresses = tuple(a for name in chosen or makers for a in scope.addresses[name])
        if not addresses:
            scope.report(f"{where}.resource", f"nothing produces {resource}")
        own = scope.addresses[owner]
        bonuses.append(Bonus(owner, own, resource, addresses, shares, len(shares) - 1))
    return tuple(bonuses)


def _modifiers(scope: Scope) -> Iterator[tuple[str, str, Modifier]]:
    sections: dict[str, Mapping[str, TechnologyTable]] = {
        "buildings": scope.document.buildings,
        "technologies": scope.document.technologies,
    }
    for section, tables in sections.items():
        for owner, table in tables.items():
            for place, modifier in enumerate(table.modifiers):
                yield owner, f"{section}.{owner}.modifiers[{place}]", modifier


def _known_assets(
    scope: Scope, where: str, modifier: Modifier, kinds: Mapping[str, Kind]
) -> list[str]:
    names = list(dict.fromkeys(modifier.assets))
    return [name for name in names if scope.known(f"{where}.assets", "asset", kinds, name)]
