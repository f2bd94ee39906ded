"""What the server answers, as far as the demo looks at it; it knows only the published API."""

from __future__ import annotations

from datetime import datetime

import msgspec


class World(msgspec.Struct, frozen=True):
    """``GET /v1/world``."""

    name: str
    tick: int
    speed: float


class Level(msgspec.Struct, frozen=True):
    """What one level of a building or technology costs, or one unit."""

    cost: dict[str, int]
    duration_seconds: float


class Tiered(msgspec.Struct, frozen=True):
    """A building or technology of the ruleset; a building may have several instances."""

    levels: list[Level]
    requires: dict[str, int] = {}
    instances: list[str] = []
    refund: float = 1.0


class Unit(Level, frozen=True):
    """A unit of the ruleset."""

    requires: dict[str, int] = {}
    refund: float = 1.0


class Ruleset(msgspec.Struct, frozen=True):
    """``GET /v1/ruleset``."""

    name: str
    version: str
    buildings: dict[str, Tiered] = {}
    technologies: dict[str, Tiered] = {}
    units: dict[str, Unit] = {}


class Stock(msgspec.Struct, frozen=True):
    """One resource of an inventory."""

    amount: int
    per_hour: int
    capacity: int | None


class Order(msgspec.Struct, frozen=True):
    """One order."""

    id: str
    asset: str
    kind: str
    cost: dict[str, int]
    state: str
    starts_at: datetime | None
    finishes_at: datetime | None
    level: int | None = None
    count: int | None = None


class Inventory(msgspec.Struct, frozen=True):
    """``GET /v1/inventory``."""

    at: datetime
    resources: dict[str, Stock]
    buildings: dict[str, int]
    technologies: dict[str, int]
    units: dict[str, int]
    orders: list[Order]

    def owned(self) -> dict[str, int]:
        """Give the level or number of every asset."""
        return {**self.buildings, **self.technologies, **self.units}


class Cancelled(msgspec.Struct, frozen=True):
    """``DELETE /v1/inventory/orders/{id}``."""

    order: Order
    refund: dict[str, int]


class Change(msgspec.Struct, frozen=True):
    """What a ledger entry did to one asset."""

    delta: int
    balance: int


class Entry(msgspec.Struct, frozen=True):
    """One entry of the ledger."""

    seq: int
    at: datetime
    cause: str
    changes: dict[str, Change]
    order_id: str | None = None


class Page(msgspec.Struct, frozen=True):
    """``GET /v1/inventory/ledger``."""

    entries: list[Entry]
    next: int | None


class Session(msgspec.Struct, frozen=True):
    """``POST /v1/sessions``."""

    access_token: str


class Problem(msgspec.Struct, frozen=True):
    """Any refusal (RFC 9457); ``missing`` comes with those that name a shortage."""

    type: str
    detail: str = ""
    missing: dict[str, int] = {}

    @property
    def slug(self) -> str:
        """The last part of the type: ``insufficient-resources``."""
        return self.type.rpartition("/")[2]
