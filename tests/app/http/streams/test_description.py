"""The streams in ``/openapi.json``: there, valid, and true of the events sent."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest

from app.http.endpoints import ENDPOINTS
from app.http.openapi import describe, with_openapi
from app.http.streams.translate import end_of, events_of, snapshot_of
from tests.app.http.streams.test_translate import entry, page

DOCUMENT: dict[str, Any] = describe(with_openapi(ENDPOINTS))
STREAM = DOCUMENT["paths"]["/v1/events"]["get"]
WEBSOCKET = DOCUMENT["paths"]["/v1/events/ws"]["get"]


def check(data: bytes, schema: dict[str, Any]) -> None:
    """Validate an event's data against a schema of the document."""
    whole = {**schema, "components": DOCUMENT["components"]}
    checker: Any = jsonschema.Draft202012Validator(
        whole, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    checker.validate(msgspec.json.decode(data))


def test_stream_is_described_as_an_event_stream() -> None:
    """A client learns the media type, how to resume, and how it may be refused."""
    assert set(STREAM["responses"]["200"]["content"]) == {"text/event-stream"}
    names = {parameter["name"] for parameter in STREAM["parameters"]}
    assert names == {"after", "Last-Event-ID"}
    assert {"400", "401", "422", "429", "503", "504"} <= set(STREAM["responses"])


def test_websocket_is_described_as_far_as_it_can_be() -> None:
    """The handshake, its refusals, and the ways to log in."""
    assert {"101", "400", "401", "426", "429"} <= set(WEBSOCKET["responses"])
    assert {} in WEBSOCKET["security"]
    assert "first message" in WEBSOCKET["responses"]["101"]["description"]


@pytest.mark.parametrize("reason", ["session-ended", "token-expired", "bye"])
def test_ends_are_what_the_document_says(reason: str) -> None:
    """The last event validates against its schema."""
    schemas = WEBSOCKET["responses"]["101"]["x-event-data"]
    check(end_of(reason).data, schemas[reason])


def test_events_are_what_the_document_says() -> None:
    """Snapshots and entries validate against their schemas."""
    schemas = STREAM["responses"]["200"]["content"]["text/event-stream"]["x-event-data"]
    check(snapshot_of(page()).data, schemas["snapshot"])
    for event in events_of(page(entry(1), entry(2, "production", metal=(9, 1_000)))):
        check(event.data, schemas["*"])
