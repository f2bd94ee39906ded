"""The whole ruleset as clients get it; see `actors.inventory.ruleset.description`.

Prices and rates are whole units, durations seconds, as if nothing else were built.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class ResourceRules(msgspec.Struct, frozen=True):
    """A resource: its amount at the start, and its own rate and capacity without any asset."""

    name: str
    title: str
    description: str
    start: int
    base_per_hour: int
    base_capacity: int | None


class BalanceRules(msgspec.Struct, frozen=True):
    """A balance: produced and used at once, never stored.

    ``rounding`` is how its factor is rounded to whole per cent.
    """

    name: str
    title: str
    description: str
    rounding: Literal["floor", "ceil", "nearest"]


class QueueRules(msgspec.Struct, frozen=True):
    """A queue: ``slots`` orders run at a time, ``length`` more may wait."""

    name: str
    title: str
    description: str
    slots: int
    length: int


class TransferRules(msgspec.Struct, frozen=True):
    """Whether players may send each other resources, and how much of each a day (null: unlimited).

    ``overflow`` says what happens to resources for which a receiver has no room.
    """

    enabled: bool
    per_day_max: int | None
    overflow: Literal["reject", "hold", "spill"]


class DurationChange(msgspec.Struct, frozen=True, tag_field="what", tag="duration"):
    """How an asset scales the durations of others: ``factors`` by its own level, from 0."""

    assets: list[str]
    factors: list[float]


class ProductionChange(msgspec.Struct, frozen=True, tag_field="what", tag="production"):
    """The share that an asset adds to a resource's production: ``shares`` by its level, from 0."""

    resource: str
    shares: list[float]


class LevelRules(msgspec.Struct, frozen=True, kw_only=True):
    """One level: its price, its duration, and its effects; effects that it lacks are omitted.

    ``produces`` is per hour, ``balance`` is negative if it uses one, ``capacity`` is the total.
    """

    level: int
    cost: dict[str, int]
    duration_seconds: int | float
    produces: dict[str, int] | UnsetType = UNSET
    balance: dict[str, int] | UnsetType = UNSET
    capacity: dict[str, int] | UnsetType = UNSET


class _AssetRules(msgspec.Struct, frozen=True, kw_only=True):
    """What any asset has; see the description of `RulesetDocument`."""

    name: str
    title: str
    description: str
    queue: str
    refund: float
    requires: dict[str, int]
    modifies: list[DurationChange | ProductionChange]


class TechnologyRules(_AssetRules, frozen=True, kw_only=True):
    """A technology; ``levels`` begin at 1."""

    kind: Literal["technology"]
    max_level: int
    levels: list[LevelRules]


class BuildingRules(_AssetRules, frozen=True, kw_only=True):
    """A building; ``instances`` are the names to order it by, and ``levels`` begin at 1."""

    kind: Literal["building"]
    instances: list[str]
    max_level: int
    levels: list[LevelRules]


class UnitRules(_AssetRules, frozen=True, kw_only=True):
    """A unit: the price, duration and effects of one.

    ``count_max`` is the maximum of one order. ``produces``, ``balance`` and ``capacity`` are
    rounded: if one unit yields a fraction, many yield their number times the exact fraction, and
    only the result is rounded.
    """

    kind: Literal["unit"]
    count_max: int
    cost: dict[str, int]
    duration_seconds: int | float
    produces: dict[str, int] | UnsetType = UNSET
    balance: dict[str, int] | UnsetType = UNSET
    capacity: dict[str, int] | UnsetType = UNSET


class RulesetDocument(msgspec.Struct, frozen=True):
    """The whole ruleset as data; ``version`` changes with every rule and parameter.

    For each asset, ``refund`` is the share of the price that a cancelled order returns, and
    ``requires`` is the level (of a unit: the count) that it needs of other assets first.
    """

    name: str
    version: str
    title: str
    description: str
    parameters: dict[str, int | float]
    resources: dict[str, ResourceRules]
    balances: dict[str, BalanceRules]
    queues: dict[str, QueueRules]
    transfers: TransferRules
    buildings: dict[str, BuildingRules]
    technologies: dict[str, TechnologyRules]
    units: dict[str, UnitRules]
