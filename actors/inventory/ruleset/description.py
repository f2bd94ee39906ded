"""A ruleset as plain data: rows per level, and the whole for game clients."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.inventory.ruleset.counts import count_max
from actors.inventory.ruleset.model import SECTIONS
from actors.inventory.ruleset.rates import bounded_room

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from actors.inventory.ruleset.model import Asset, Balance, Queue, Resource, Transfers
    from actors.inventory.ruleset.ruleset import Ruleset
    from actors.inventory.ruleset.sheets import Factor

Row: TypeAlias = dict[str, Any]


def level_row(ruleset: Ruleset, address: str, level: int, levels: Mapping[str, int]) -> Row:
    """Return cost, duration and effects of ``level``, with other assets at ``levels``.

    The asset itself stands one level below while it is built, unless ``levels`` says otherwise.
    ``produces`` is its own income per hour with full balances, including bonuses on it;
    ``balance`` is negative if it uses one; ``capacity`` is the resulting room.  Whatever does
    not apply is left out: level 0 exists without being built.  Raises ValueError for a level
    the asset does not have.
    """
    asset = ruleset.assets[address]
    row: Row = {"level": level}
    if level:
        built = {address: level - 1, **levels}
        row["cost"] = dict(ruleset.cost(address, level))
        row["duration_seconds"] = seconds(ruleset.duration_ms(address, level, built))
    return row | _effects(ruleset, asset, level, {**levels, address: level})


def count_row(ruleset: Ruleset, name: str, count: int, levels: Mapping[str, int]) -> Row:
    """Return cost, duration and effects of ``count`` units together; 1 or more."""
    row: Row = {
        "count": count,
        "cost": {key: price * count for key, price in ruleset.cost(name, 1).items()},
        "duration_seconds": seconds(ruleset.duration_ms(name, 1, levels) * count),
    }
    return row | _effects(ruleset, ruleset.assets[name], count, levels)


def describe(ruleset: Ruleset) -> dict[str, Any]:
    """Return the whole ruleset as JSON data; durations are those with nothing else built."""
    told: dict[str, Any] = {
        "name": ruleset.name,
        "version": ruleset.version,
        "title": ruleset.title,
        "description": ruleset.description,
        "parameters": dict(ruleset.parameters),
        "resources": {name: _fields(item) for name, item in ruleset.resources.items()},
        "balances": {name: _fields(item) for name, item in ruleset.balances.items()},
        "queues": {name: _fields(item) for name, item in ruleset.queues.items()},
        "transfers": _fields(ruleset.transfers),
    }
    told |= {section: {} for section in SECTIONS.values()}
    for name, addresses in ruleset.addresses.items():
        kind = ruleset.sheets[name].kind
        told[SECTIONS[kind]][name] = _told_asset(ruleset, name, addresses)
    return told


def seconds(duration_ms: int) -> int | float:
    """Return milliseconds as seconds: an integer if they are whole."""
    return duration_ms // 1000 if duration_ms % 1000 == 0 else duration_ms / 1000


def _told_asset(ruleset: Ruleset, name: str, addresses: tuple[str, ...]) -> dict[str, Any]:
    asset = ruleset.assets[addresses[0]]
    several = len(addresses) > 1
    told: dict[str, Any] = {
        "name": name,
        "title": asset.title.removesuffix(" 1") if several else asset.title,
        "description": asset.description,
        "kind": asset.kind,
        "queue": asset.queue,
        "refund": asset.refund[0] / asset.refund[1],
        "requires": {need.asset_name: need.level for need in asset.requires},
        "modifies": _modifies(ruleset, name),
    }
    if asset.kind == "building":
        told["instances"] = list(addresses)
    if asset.max_level is None:
        row = count_row(ruleset, name, 1, {})
        del row["count"]
        return told | {"count_max": count_max(ruleset, name)} | row
    told["max_level"] = asset.max_level
    told["levels"] = [
        level_row(ruleset, addresses[0], level, {}) for level in range(1, asset.max_level + 1)
    ]
    return told


def _modifies(ruleset: Ruleset, name: str) -> list[dict[str, Any]]:
    """Return the asset's effect on others, by its level from 0."""
    changed: dict[Factor, list[str]] = {}
    for other, sheet in ruleset.sheets.items():
        for factor in sheet.duration_factors:
            if factor.name == name:
                changed.setdefault(factor, []).append(other)
    found: list[dict[str, Any]] = [
        {"what": "duration", "assets": assets, "factors": _decimals(factor.values)}
        for factor, assets in changed.items()
    ]
    found += [
        {"what": "production", "resource": bonus.resource, "shares": _decimals(bonus.shares)}
        for bonus in ruleset.works.bonuses
        if bonus.name == name
    ]
    return found


def _decimals(values: Iterable[tuple[int, int]]) -> list[float]:
    return [top / bottom for top, bottom in values]


def _fields(record: Resource | Balance | Queue | Transfers) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def _effects(ruleset: Ruleset, asset: Asset, number: int, levels: Mapping[str, int]) -> Row:
    sheet = ruleset.sheets[asset.name]
    is_unit = sheet.kind == "unit"
    effects = sheet.effects
    produces: dict[str, int] = {}
    for flow in effects.makes:
        part = flow.of(number, levels, is_unit=is_unit)
        produces[flow.name] = produces.get(flow.name, 0) + part
    for name, extra in ruleset.works.bonus_of(asset.address, number, levels).items():
        produces[name] += extra
    balance = {flow.name: flow.of(number, levels, is_unit=is_unit) for flow in effects.balance}
    capacity = {
        flow.name: bounded_room(
            (ruleset.resources[flow.name].base_capacity or 0)
            + flow.of(number, levels, is_unit=is_unit)
        )
        for flow in effects.capacity
    }
    told = {"produces": produces, "balance": balance, "capacity": capacity}
    return {key: values for key, values in told.items() if values}
