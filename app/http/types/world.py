"""The world, its health, and the problems that it answers with."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.http.errors import FieldError
from app.http.types.ids import Id
from app.http.types.times import Time

HttpStatus = Annotated[int, Meta(ge=100, le=599)]
"""An HTTP status."""


class Health(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether every permanent actor is ready, and the state of each actor by name."""

    status: Literal["ready", "not-ready"]
    actors: dict[str, str]


class RulesetName(msgspec.Struct, frozen=True):
    """The rules in force: ``version`` changes with every rule and parameter."""

    name: str
    version: str


class WorldDetails(msgspec.Struct, frozen=True):
    """The world clock; ``tick_ms`` is the length of a tick, ``now`` is world time."""

    name: str
    ruleset: RulesetName
    tick: int
    tick_ms: int
    speed: int | float
    now: Time


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error (RFC 9457); its type determines the members besides the first four."""

    type: str
    title: str
    status: HttpStatus
    detail: str
    errors: list[FieldError] | None = None
    missing: dict[str, int] | None = None
    left: dict[str, int] | None = None
    transfer_id: Id | None = None
    state: str | None = None
    queue: str | None = None
    asset: str | None = None
    level: int | None = None


class ProblemDescription(msgspec.Struct, frozen=True):
    """What a problem type means."""

    type: str
    title: str
    status: HttpStatus
    description: str
