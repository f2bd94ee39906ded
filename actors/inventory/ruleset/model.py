"""The public face of a compiled ruleset: its parts and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset.rounding import Mode

Kind: TypeAlias = Literal["building", "technology", "unit"]

SECTIONS: Final[Mapping[Kind, str]] = MappingProxyType(
    {"building": "buildings", "technology": "technologies", "unit": "units"}
)
"""The table of a ruleset file in which each kind of asset stands."""

Overflow: TypeAlias = Literal["reject", "hold", "spill"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A stock: whole units at the start, and income per hour and room that need no building.

    ``base_capacity`` None: without limit.
    """

    name: str
    start: int
    base_per_hour: int
    base_capacity: int | None
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """Something produced and used at once, never stored; a shortage slows those that use it.

    ``rounding`` is that of the factor in whole per cent.
    """

    name: str
    title: str = ""
    description: str = ""
    rounding: Mode = "floor"


@dataclass(frozen=True, slots=True)
class Queue:
    """Where orders are carried out: ``slots`` at a time, ``length`` more may wait."""

    name: str
    slots: int
    length: int
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """An asset that must be there first: at least ``level`` (of a unit: at least that many)."""

    asset_name: str
    level: int


@dataclass(frozen=True, slots=True)
class Asset:
    """What can be ordered: a building (one instance of it), a technology or a unit.

    ``address`` is the name, or ``name:n`` (n from 1) for a building of several instances.
    ``max_level`` is None for a unit alone. ``refund`` is the share of the price that a
    cancellation refunds: numerator and denominator of a number between 0 and 1.
    """

    address: str
    name: str
    kind: Kind
    queue: str
    max_level: int | None
    refund: tuple[int, int]
    requires: tuple[Requirement, ...]
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class BalanceReading:
    """A balance now; ``factor_percent`` (0 to 100) scales the output of assets that draw on it."""

    produced: int
    used: int
    factor_percent: int


@dataclass(frozen=True, slots=True)
class Rates:
    """The sum of an account's assets: net whole units per hour, room, and the balances."""

    per_hour: Mapping[str, int]
    capacity: Mapping[str, int | None]
    balances: Mapping[str, BalanceReading]


@dataclass(frozen=True, slots=True)
class Transfers:
    """Whether players may send each other resources, and how much.

    ``per_day_max`` is the maximum in whole units of each resource that one account may send in
    one day (UTC, in world time); None: no limit. ``overflow`` governs goods for which the
    receiver has no room: the transfer is refused, the rest waits until there is room, or the
    rest is lost.
    """

    enabled: bool
    per_day_max: int | None
    overflow: Overflow
