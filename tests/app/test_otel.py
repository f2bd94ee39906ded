"""Traces of a real server: one trace from a request through the bus to the commit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode, get_current_span

from app import otel
from app.http.trail import Trail
from app.metrics.meters import BusMeter
from app.otel import OpenTelemetry, open_provider
from bus import ActorStopped, Interest, Message, Topic, open_broadcast_channel
from tests.app.metrics.support import running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDPOINT = "http://127.0.0.1:9/v1/traces"
ORDERS = "POST /v1/inventory/orders"


class Spans:
    """The finished spans, each with its parent."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> Sequence[ReadableSpan]:
        """Return every span that has ended, in the order of their ends."""
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Return the spans of one name."""
        return [span for span in self.all() if span.name == name]

    def parent_of(self, span: ReadableSpan) -> ReadableSpan | None:
        """Find the parent of this span."""
        if span.parent is None:
            return None
        by_id = {context(each).span_id: each for each in self.all()}
        return by_id[span.parent.span_id]

    def ancestry(self, span: ReadableSpan) -> list[str]:
        """Return the names from this span up to the root of its trace."""
        names: list[str] = []
        above: ReadableSpan | None = span
        while above is not None:
            names.append(above.name)
            above = self.parent_of(above)
        return names


def context(span: ReadableSpan) -> SpanContext:
    """Return a span's own context."""
    assert span.context is not None
    return span.context


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """Trace every server of the test into memory."""
    made = Spans()

    def provide(_endpoint: str, _sample_every: int) -> TracerProvider:
        return made.provider

    monkeypatch.setattr(otel, "open_provider", provide)
    yield made
    made.provider.shutdown()


async def test_trace_leads_from_a_request_through_the_bus_to_the_commit(
    database_dsn: str, spans: Spans
) -> None:
    """An order's trace shows who was asked, what its account did and what made it durable."""
    async with running(database_dsn, tracing__endpoint=ENDPOINT) as server:
        player = await server.sign_up("ada")
        await player.get("/v1/inventory")
        answer = await player.order("k1", **{"X-Request-Id": "find-me"})
        assert answer.status_code == 201
    [request] = spans.named(ORDERS)
    trace_id = context(request).trace_id
    inside = [span for span in spans.all() if context(span).trace_id == trace_id]
    assert request.parent is None
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 201
    assert request.attributes["http.route"] == "/v1/inventory/orders"
    assert request.attributes["holdfast.request_id"] == "find-me"
    assert request.attributes["holdfast.account_id"] == player.account_id
    assert "ask PlaceOrder" in {span.name for span in inside}
    # The token was asked about once; since then it is cached.
    assert len(spans.named("ask Authorize")) == 1
    [commit] = [span for span in inside if span.name == "commit"]
    assert spans.ancestry(commit) == [
        "commit",
        "ask Write",
        "inventory",
        "ask PlaceOrder",
        ORDERS,
    ]
    times = [(span.start_time or 0, span.end_time or 0) for span in (request, commit)]
    assert times[0][0] < times[1][0] < times[1][1] < times[0][1]


async def test_nothing_is_traced_that_nobody_asked_for(database_dsn: str, spans: Spans) -> None:
    """The world ticks, and no tick starts a trace: every root span is a request's."""
    async with running(database_dsn, tracing__endpoint=ENDPOINT, world__tick_ms="10") as server:
        before = (await server.client.get("/v1/world")).json()["tick"]
        while (await server.client.get("/v1/world")).json()["tick"] < before + 3:
            pass
    roots = {span.name for span in spans.all() if span.parent is None}
    assert roots == {"GET /v1/world"}
    assert spans.named("commit") == []


async def test_request_is_a_part_of_the_clients_trace(database_dsn: str, spans: Spans) -> None:
    """A traceparent header (W3C) makes it so; an invalid one changes nothing."""
    async with running(database_dsn, tracing__endpoint=ENDPOINT) as server:
        for header in (f"00-{'a1' * 16}-{'b2' * 8}-01", "nonsense"):
            assert (
                await server.client.get("/v1/world", headers={"traceparent": header})
            ).status_code == 200
        missing = await server.client.get("/no/such/path")
    assert missing.status_code == 404
    known, unknown = spans.named("GET /v1/world")
    assert known.parent is not None
    assert (context(known).trace_id, known.parent.span_id) == (
        int("a1" * 16, 16),
        int("b2" * 8, 16),
    )
    assert unknown.parent is None
    [unmatched] = spans.named("GET unmatched")
    assert unmatched.status.status_code is StatusCode.UNSET


@dataclass
class Carrier:
    """What an actor keeps of a message."""

    trace: object


async def test_work_on_many_messages_links_to_all_of_them() -> None:
    """It is part of the first traced message's trace and links to the other traced ones."""
    spans = Spans()
    tracing = OpenTelemetry(spans.provider)
    tracer = spans.provider.get_tracer("test")
    contexts = [tracer.start_span(f"request {n}").get_span_context() for n in range(3)]
    carriers = [Carrier(None), *map(Carrier, contexts)]
    with tracing.actors.work("commit", carriers, units=4):
        pass
    with tracing.actors.work("commit", [Carrier(None), Carrier("of another")], units=2):
        pass
    [commit] = spans.named("commit")
    assert commit.parent is not None
    assert commit.parent.span_id == contexts[0].span_id
    assert [link.context.span_id for link in commit.links] == [c.span_id for c in contexts[1:]]
    assert commit.attributes == {"holdfast.units": 4}


async def test_question_that_fails_is_an_error_in_its_trace() -> None:
    """Its error is recorded on its span, propagates to the caller, and is measured as well."""
    spans = Spans()
    tracing, meter = OpenTelemetry(spans.provider), BusMeter()
    with open_broadcast_channel(observer=tracing.bus(meter)) as bus:
        trail = Trail(method="GET", path="/x")
        with tracing.requests.request([], trail), pytest.raises(ActorStopped):
            await bus.ask(Topic.AUTH, Trail(), timeout_s=1)
    [asked] = spans.named("ask Trail")
    assert asked.status.status_code is StatusCode.ERROR
    assert [event.name for event in asked.events] == ["exception"]
    assert meter.replies["authx"].count == 1
    [request] = spans.named("GET unmatched")
    assert request.status.status_code is StatusCode.ERROR


async def test_question_outside_any_request_is_measured_and_not_traced() -> None:
    """Its message carries no trace."""
    spans = Spans()
    tracing = OpenTelemetry(spans.provider)
    seen: list[Message] = []
    with open_broadcast_channel(observer=tracing.bus(None)) as bus:
        mailbox = bus.subscribe(Interest(Topic.TASK, "a"), buffer=1)

        async def answer() -> None:
            async for message in mailbox:
                seen.append(message)
                if message.reply is not None:
                    message.reply.send_nowait("yes")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert await bus.ask(Topic.TASK, "?", key="a", timeout_s=1) == "yes"
            nursery.cancel_scope.cancel()
    assert [message.trace for message in seen] == [None]
    assert spans.all() == ()


@pytest.mark.parametrize(("every", "traced"), [(1, 200), (1_000_000, 0)])
def test_provider_samples_one_request_in_so_many(every: int, traced: int) -> None:
    """All, or nearly none; part of a sampled trace is sampled whatever the share."""
    provider = open_provider(ENDPOINT, every)
    try:
        tracer = provider.get_tracer("test")
        made = [tracer.start_span("x").is_recording() for _ in range(200)]
        assert abs(sum(made) - traced) <= 1
        attributes = provider.resource.attributes
        assert attributes["service.name"] == "holdfast"
    finally:
        # No span was ended, so nothing is sent.
        provider.shutdown()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"tracestate", b"c=\xe9"),
        (b"tracestate", b"a=1,a=1"),
        (b"tracestate", b"a=1," * 200),
        (b"traceparent", b"00-" + b"a" * 1000),
    ],
)
def test_malformed_trace_context_of_a_client_is_not_logged(
    name: bytes, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody may fill the log by sending headers; the request is traced all the same."""
    open_provider(ENDPOINT, 1).shutdown()
    requests = OpenTelemetry(TracerProvider(shutdown_on_exit=False)).requests
    headers = {b"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    headers[name] = value
    with requests.request(headers.items(), Trail(method="GET")):
        assert get_current_span().is_recording()
    assert caplog.records == []
