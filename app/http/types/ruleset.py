"""The whole ruleset as clients are given it; see `actors.inventory.ruleset.description`.

Prices and rates are whole units, durations seconds, with nothing else built.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class ResourceRules(msgspec.Struct, frozen=True):
    """A resource: its starting stock, and its base income and base capacity without any asset."""

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
    """A queue: ``slots`` orders are carried out at a time, ``length`` more may wait."""

    name: str
    title: str
    description: str
    slots: int
    length: int


class TransferRules(msgspec.Struct, frozen=True):
    """Whether players may send each other resources, and how much of each per day (null: no limit).

    ``overflow`` says what happens to resources for which the receiver has no room.
    """

    enabled: bool
    per_day_max: int | None
    overflow: Literal["reject", "hold", "spill"]


class DurationChange(msgspec.Struct, frozen=True, tag_field="what", tag="duration"):
    """How an asset changes the durations of others: ``factors`` by its own level, from 0."""

    assets: list[str]
    factors: list[float]


class ProductionChange(msgspec.Struct, frozen=True, tag_field="what", tag="production"):
    """What share an asset adds to the production of a resource: ``shares`` by its level, from 0."""

    resource: str
    shares: list[float]


class LevelRules(msgspec.Struct, frozen=True, kw_only=True):
    """One level: its price, its duration and its effects; effects it does not have are absent.

    ``produces`` is per hour, ``balance`` is negative for use, ``capacity`` is the whole room.
    """

    level: int
    cost: dict[str, int]
    duration_seconds: int | float
    produces: dict[str, int] | UnsetType = UNSET
    balance: dict[str, int] | UnsetType = UNSET
    capacity: dict[str, int] | UnsetType = UNSET


class _AssetRules(msgspec.Struct, frozen=True, kw_only=True):
    """What any asset has; told in the description of `RulesetDocument`."""

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

    ``count_max`` is the most that one order may be for. ``produces``, ``balance`` and ``capacity``
    are rounded: for several units the exact value of one is multiplied by their number, and only
    the product is rounded.
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

    For each asset, ``refund`` is the share of the price that a cancelled order gives back, and
    ``requires`` the level (for a unit: the count) of other assets needed first.
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
