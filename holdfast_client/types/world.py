"""The world, its rules, and its server's readiness."""

from __future__ import annotations

from datetime import datetime

import msgspec


class RulesetName(msgspec.Struct, frozen=True):
    """The rules in force: ``version`` changes with every rule and parameter."""

    name: str
    version: str


class World(msgspec.Struct, frozen=True):
    """The world clock; ``tick_ms`` is the length of a tick."""

    name: str
    ruleset: RulesetName
    tick: int
    tick_ms: int
    speed: float
    now: datetime


class Readiness(msgspec.Struct, frozen=True):
    """Whether the server is ready (``ready``), and the state of each of its actors."""

    status: str
    actors: dict[str, str]

    @property
    def ready(self) -> bool:
        """Whether every part of the server is ready."""
        return self.status == "ready"


class Level(msgspec.Struct, frozen=True):
    """One level of a building or technology: its price, duration and effects."""

    cost: dict[str, int]
    duration_seconds: float
    produces: dict[str, int] = {}
    balance: dict[str, int] = {}
    capacity: dict[str, int] = {}


class Tiered(msgspec.Struct, frozen=True):
    """A building or technology; ``levels`` begin with 1.

    A building that can exist more than once has ``instances``, the names to order it by.
    """

    levels: list[Level]
    title: str = ""
    description: str = ""
    queue: str = ""
    requires: dict[str, int] = {}
    instances: list[str] = []
    refund: float = 1.0


class Unit(Level, frozen=True):
    """A unit: the price, duration and effects of one, rounded.

    If one unit yields a fraction, many yield their number times the exact fraction, and only the
    result is rounded. ``count_max`` is the maximum of one order; None if the server does not say.
    """

    title: str = ""
    description: str = ""
    queue: str = ""
    requires: dict[str, int] = {}
    refund: float = 1.0
    count_max: int | None = None


class Queue(msgspec.Struct, frozen=True):
    """Where orders run: ``slots`` at a time, ``length`` more may wait."""

    slots: int
    length: int
    title: str = ""
    description: str = ""


class Ruleset(msgspec.Struct, frozen=True):
    """The whole ruleset as data, each queue and each asset by its name."""

    name: str
    version: str
    queues: dict[str, Queue] = {}
    buildings: dict[str, Tiered] = {}
    technologies: dict[str, Tiered] = {}
    units: dict[str, Unit] = {}
