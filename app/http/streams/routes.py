"""The rows of the streams: checked like any endpoint, then served by this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.http.endpoint import Auth, Endpoint
from app.http.types.events import EventsQuery

if TYPE_CHECKING:
    from app.http.endpoint import Call

SSE_PATH: Final = "/v1/events"
WEBSOCKET_PATH: Final = "/v1/events/ws"
EVENT_STREAM: Final = b"text/event-stream"

_PROBLEMS: Final = ("malformed-request", "too-many-streams", "ruleset-mismatch")


async def follow_events(call: Call[None, EventsQuery]) -> int | None:
    """Return the id of the event after which a stream begins."""
    return call.query.after


async def follow_events_ws(call: Call[None, EventsQuery]) -> int | None:
    """Return the id of the event after which a stream over WebSocket begins."""
    return call.query.after


SSE: Final = Endpoint(
    method="GET",
    path=SSE_PATH,
    handler=follow_events,
    summary="The account's events as they happen (Server-Sent Events)",
    tag="events",
    auth=Auth.PLAYER,
    query=EventsQuery,
    errors=_PROBLEMS,
)
WEBSOCKET: Final = Endpoint(
    method="GET",
    path=WEBSOCKET_PATH,
    handler=follow_events_ws,
    summary="The account's events as they happen (WebSocket)",
    tag="events",
    auth=Auth.PLAYER,
    query=EventsQuery,
    status=101,
    errors=(*_PROBLEMS, "upgrade-required"),
)
