"""The process, the world, its rules, and what each problem means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.gateway import Gateway
from app.http.catalogue import PROBLEM_KINDS
from app.http.endpoint import Answer, Auth, Endpoint
from app.http.errors import NotFound
from app.http.types.ruleset import RulesetDocument
from app.http.types.times import world_time
from app.http.types.world import (
    Health,
    ProblemDescription,
    Readiness,
    RulesetName,
    WorldDetails,
)

if TYPE_CHECKING:
    from app.http.endpoint import Call

SERVICE_UNAVAILABLE = 503


async def get_health(call: Call[None, None]) -> Health:  # noqa: ARG001 - as every handler
    """Report that the process is alive."""
    return Health("ok")


async def get_readiness(call: Call[None, None]) -> Answer[Readiness]:
    """Report whether every permanent actor is ready."""
    ready = call.gateway.ready()
    readiness = Readiness("ready" if ready else "not-ready", dict(call.gateway.actor_states()))
    return Answer(readiness, None if ready else SERVICE_UNAVAILABLE)


async def get_world(call: Call[None, None]) -> WorldDetails:
    """Return the world's name, rules and clock."""
    gateway = call.gateway
    world = await gateway.world()
    return WorldDetails(
        name=gateway.world_name,
        ruleset=RulesetName(gateway.ruleset.name, gateway.ruleset.version),
        tick=world.tick,
        tick_ms=world.tick_ms,
        speed=gateway.speed(),
        now=world_time(world.now_ms),
    )


async def get_ruleset(call: Call[None, None]) -> msgspec.Raw:
    """Return the whole ruleset as data."""
    return msgspec.Raw(call.gateway.ruleset_json())


async def get_problem(call: Call[None, None]) -> ProblemDescription:
    """Describe a type of problem."""
    kind = PROBLEM_KINDS.get(call.path["slug"])
    if kind is None:
        raise NotFound("there is no such problem type")
    return ProblemDescription(kind.uri, kind.title, kind.status.value, kind.description)


SYSTEM = (
    Endpoint(
        method="GET",
        path="/healthz",
        handler=get_health,
        summary="Whether the process is alive",
        tag="system",
        auth=Auth.NONE,
        response=Health,
        limited=False,
    ),
    Endpoint(
        method="GET",
        path="/readyz",
        handler=get_readiness,
        summary="Whether every permanent actor is ready",
        tag="system",
        auth=Auth.NONE,
        response=Readiness,
        limited=False,
        also=((SERVICE_UNAVAILABLE, "An actor is not ready"),),
    ),
    Endpoint(
        method="GET",
        path="/v1/world",
        handler=get_world,
        summary="The world's name, rules and clock",
        tag="world",
        auth=Auth.NONE,
        response=WorldDetails,
        errors=("overloaded", "actor-stopped", "reply-timeout"),
    ),
    Endpoint(
        method="GET",
        path="/v1/ruleset",
        handler=get_ruleset,
        summary="The whole ruleset as data",
        tag="world",
        auth=Auth.NONE,
        response=RulesetDocument,
        etag=Gateway.ruleset_etag,
    ),
    Endpoint(
        method="GET",
        path="/problems/{slug:text}",
        handler=get_problem,
        summary="What a problem type means",
        tag="system",
        auth=Auth.NONE,
        response=ProblemDescription,
    ),
)
"""The endpoints that need no account."""
