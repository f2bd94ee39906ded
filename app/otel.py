"""OpenTelemetry traces: a request, its questions over the bus, and the work that they cause.

A trace begins with a request; unsolicited work (ticks, due accounts) is not traced. A span's
context travels with the message as its opaque ``trace``. Where an actor works on several messages
at once, the work is part of the first one's trace and links to the others.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app import __version__

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, TypeAlias

    from opentelemetry.trace import Span

    from actors.tracing import Traced
    from app.http.trail import Trail
    from bus import Observer, Topic

    _Mark: TypeAlias = tuple[Any, AbstractContextManager[Span] | None]
    """The inner observer's own mark, and the question's span until it ends."""

_PROPAGATED: Final = frozenset({b"traceparent", b"tracestate"})
_FAILED_FROM = 500


def open_provider(endpoint: str, sample_every: int) -> TracerProvider:
    """Make a provider that samples spans and sends them to ``endpoint`` from its own thread."""
    # It would log, and quote, each malformed `traceparent` or `tracestate` that a client sends.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(1 / sample_every)),
        resource=Resource.create({"service.name": "holdfast", "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider


class OpenTelemetry:
    """The tracers of one program; an `app.tracing.Tracing`."""

    def __init__(self, provider: TracerProvider) -> None:
        tracer = provider.get_tracer("holdfast", __version__)
        self._tracer = tracer
        self.requests = RequestSpans(tracer)
        self.actors = WorkSpans(tracer)

    def bus(self, observer: Observer | None) -> Observer:
        """Trace the questions over the bus, and pass them on to ``observer``."""
        return QuestionSpans(self._tracer, observer)


class RequestSpans:
    """A span for each request, part of the client's trace if it sends one (W3C)."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, headers: Iterable[tuple[bytes, bytes]], trail: Trail) -> Generator[None]:
        """Trace a request; its span is named for its route, which is known at its end."""
        carrier = {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in headers
            if name in _PROPAGATED
        }
        parent = self._propagator.extract(carrier)
        attributes = {"http.request.method": trail.method, "url.path": trail.path}
        with self._tracer.start_as_current_span(
            trail.method, parent, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            try:
                yield
            finally:
                _tell(span, trail)


class QuestionSpans:
    """A span for each question over the bus that is asked on behalf of a request."""

    def __init__(self, tracer: trace.Tracer, inner: Observer | None) -> None:
        self._tracer = tracer
        self._inner = inner

    def begin(self, topic: Topic, key: str | None, body: object) -> tuple[_Mark, object]:
        """Record a question; its span's context travels along, for the actor that answers."""
        inner_mark = None
        if self._inner is not None:
            inner_mark, _ = self._inner.begin(topic, key, body)
        if not trace.get_current_span().is_recording():
            return (inner_mark, None), None
        attributes = {"holdfast.topic": topic.value, "holdfast.key": key or ""}
        asking = self._tracer.start_as_current_span(
            f"ask {type(body).__name__}", kind=SpanKind.CLIENT, attributes=attributes
        )
        return (inner_mark, asking), asking.__enter__().get_span_context()

    def finish(self, mark: _Mark, error: BaseException | None) -> None:
        """End the question's span with its outcome."""
        inner_mark, asking = mark
        if asking is not None:
            kind, traceback = (None, None) if error is None else (type(error), error.__traceback__)
            asking.__exit__(kind, error, traceback)
        if self._inner is not None:
            self._inner.finish(inner_mark, error)


class WorkSpans:
    """A span for each piece of work that an actor does on behalf of one request or more."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def work(
        self, name: str, carriers: Sequence[Traced], **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Trace the work on ``carriers`` if any of them is traced."""
        contexts = [each.trace for each in carriers if isinstance(each.trace, SpanContext)]
        if not contexts:
            return nullcontext()
        return self._tracer.start_as_current_span(
            name,
            trace.set_span_in_context(NonRecordingSpan(contexts[0])),
            kind=SpanKind.SERVER,
            links=[Link(context) for context in contexts[1:]],
            attributes={f"holdfast.{key}": value for key, value in attributes.items()},
        )


def _tell(span: Span, trail: Trail) -> None:
    """Set the name, attributes and status of a request's span at its end."""
    span.update_name(f"{trail.method} {trail.route}")
    span.set_attribute("http.route", trail.route)
    span.set_attribute("holdfast.request_id", trail.request_id)
    if trail.account_id is not None:
        span.set_attribute("holdfast.account_id", trail.account_id)
    if trail.status:
        span.set_attribute("http.response.status_code", trail.status)
    if not trail.status or trail.status >= _FAILED_FROM:
        span.set_status(Status(StatusCode.ERROR))
