"""The shape of a ruleset file: its keys, and what each may hold.

The compiler checks what the names in it mean, and what the formulas evaluate to.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

Number: TypeAlias = int | float
Plain: TypeAlias = int | float | str
"""A number or a formula."""

Amount: TypeAlias = Annotated[int, Meta(ge=0, le=10**15)]
Level: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Small: TypeAlias = Annotated[int, Meta(ge=0, le=1000)]
Title: TypeAlias = Annotated[str, Meta(max_length=100)]
Description: TypeAlias = Annotated[str, Meta(max_length=1000)]


class SeriesTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``{ levels = [2, 5, 9], times = "speed" }``: a list and what to multiply it by."""

    levels: list[Number]
    times: int | float | str = 1


Value: TypeAlias = int | float | str | list[Number] | SeriesTable
"""A number, a formula, or a value for each level."""


class _Table(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    title: Title = ""
    description: Description = ""


class ParameterTable(_Table, frozen=True, kw_only=True):
    """``[parameters.temperature]``: a number that the operator of a world may set."""

    default: Number
    min: Number | None = None
    max: Number | None = None


class ResourceTable(_Table, frozen=True, kw_only=True):
    """``[resources.metal]``."""

    start: Amount = 0
    base_per_hour: int | float | str = 0
    base_capacity: int | float | str | None = None


class BalanceTable(_Table, frozen=True, kw_only=True):
    """``[balances.energy]``; ``rounding`` is that of the factor in whole percent."""

    rounding: Literal["floor", "ceil", "nearest"] = "floor"


class QueueTable(_Table, frozen=True, kw_only=True):
    """``[queues.construction]``."""

    slots: Annotated[int, Meta(ge=1, le=1000)] = 1
    length: Small = 0


class DurationModifier(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="what", tag="duration"
):
    """``what = "duration"``: multiplies durations of ``kinds`` and ``assets`` by ``factor``."""

    factor: int | float | str
    kinds: list[Literal["building", "technology", "unit"]] = []
    assets: list[str] = []


class ProductionModifier(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="what", tag="production"
):
    """``what = "production"``: adds ``share`` of what ``assets`` (or all) make of a resource."""

    share: int | float | str
    resource: str
    assets: list[str] = []


Modifier: TypeAlias = DurationModifier | ProductionModifier


class AssetTable(_Table, frozen=True, kw_only=True):
    """What buildings, technologies and units have in common."""

    queue: str | None = None
    cost: dict[str, Value]
    cost_rounding: str | None = None
    duration: Value | None = None
    refund: Number | None = None
    requires: dict[str, Annotated[int, Meta(ge=1, le=10**15)]] = {}
    produces: dict[str, Value] = {}
    consumes: dict[str, Value] = {}
    balance: dict[str, Value] = {}
    capacity: dict[str, Value] = {}


class TechnologyTable(AssetTable, frozen=True, kw_only=True):
    """``[technologies.drive]``."""

    cost_growth: Number | None = None
    max_level: Level | None = None
    modifiers: list[Modifier] = []


class BuildingTable(TechnologyTable, frozen=True, kw_only=True):
    """``[buildings.mine]``."""

    instances: Annotated[int, Meta(ge=1, le=100)] = 1


class UnitTable(AssetTable, frozen=True, kw_only=True):
    """``[units.scout]``: no levels, so no growth, no lists and no modifiers."""


class UnitDefaults(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[defaults.units]``: what a unit has unless it says otherwise."""

    queue: str | None = None
    cost_rounding: str = "floor"
    duration: int | float | str | None = None
    refund: Number = 1


class LeveledDefaults(UnitDefaults, frozen=True, kw_only=True):
    """``[defaults.buildings]`` and ``[defaults.technologies]``."""

    cost_growth: Number = 1
    max_level: Level = 20


class DefaultsTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[defaults]``."""

    buildings: LeveledDefaults = LeveledDefaults()
    technologies: LeveledDefaults = LeveledDefaults()
    units: UnitDefaults = UnitDefaults()


class DurationsTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[durations]``: how every duration is rounded once all modifiers are applied."""

    rounding: str = "floor"
    minimum_seconds: Annotated[float, Meta(gt=0, le=10**6)] = 1


class TransfersTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[transfers]``."""

    enabled: bool = False
    per_day_max: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    overflow: Literal["reject", "hold", "spill"] = "reject"


class Document(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    title: Title = ""
    description: Description = ""
    parameters: dict[str, int | float | ParameterTable] = {}
    resources: dict[str, ResourceTable]
    balances: dict[str, BalanceTable] = {}
    queues: dict[str, QueueTable]
    defaults: DefaultsTable = DefaultsTable()
    durations: DurationsTable = DurationsTable()
    transfers: TransfersTable = TransfersTable()
    buildings: dict[str, BuildingTable] = {}
    technologies: dict[str, TechnologyTable] = {}
    units: dict[str, UnitTable] = {}
