"""How the event streams appear in ``/openapi.json``, which knows only requests and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.http.streams.routes import EVENT_STREAM, SSE, WEBSOCKET
from app.http.types.events import EventDetails, SnapshotDetails, StreamEnd, StreamLogin
from app.http.types.inventory import INTEGER_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.http.endpoint import Endpoint

STREAMS: Final = (SSE, WEBSOCKET)
"""The rows of the streams."""

STREAM_TYPES: Final = (EventDetails, SnapshotDetails, StreamEnd, StreamLogin)
"""The types of the streams' messages."""

_EVENTS: Final = (
    "Each event has a name, its data as JSON, and, where it is an entry of the ledger, the "
    "entry's number as its id. `snapshot` begins a stream that does not resume. `order-placed`, "
    "`order-started`, `order-completed`, `unit-completed`, `order-cancelled`, `transfer-sent`, "
    "`transfer-received`, `transfer-returned`, `grant`, `resource-full` and the other causes of "
    "the ledger say what happened; plain production is left out. `session-ended`, "
    "`token-expired` and `bye` are the last event of a stream."
)


def describe_stream(
    endpoint: Endpoint, operation: dict[str, Any], schema_of: Mapping[Any, Any]
) -> dict[str, Any]:
    """Add to a stream's operation what an ordinary one does not have."""
    operation["description"] = _EVENTS
    operation["parameters"].append(_last_event_id())
    answer = operation["responses"][str(endpoint.status)]
    messages = {
        "snapshot": schema_of[SnapshotDetails],
        "session-ended": schema_of[StreamEnd],
        "token-expired": schema_of[StreamEnd],
        "bye": schema_of[StreamEnd],
        "*": schema_of[EventDetails],
    }
    if endpoint is SSE:
        text = {"type": "string", "contentMediaType": EVENT_STREAM.decode()}
        answer["content"] = {EVENT_STREAM.decode(): {"schema": text, "x-event-data": messages}}
    else:
        answer["description"] = (
            'The connection is now a WebSocket: each message is `{"id", "event", "data"}`. '
            "Without an Authorization header the token comes as the subprotocol "
            "`bearer.<token>`, or in the first message."
        )
        answer["x-first-message"] = schema_of[StreamLogin]
        answer["x-event-data"] = messages
        # The token may come later than the request.
        operation["security"] = [{"token": []}, {}]
    return operation


def _last_event_id() -> dict[str, Any]:
    return {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The id of the last event received; takes precedence over `after`.",
        "schema": {"type": "integer", "minimum": 0, "maximum": INTEGER_MAX, "format": "int64"},
    }
