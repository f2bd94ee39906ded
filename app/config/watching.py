"""The sections of observability: the log, the metrics and the traces."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from app.config.section import Section


class Log(Section, frozen=True):
    """The log on standard error."""

    format: Annotated[
        Literal["auto", "console", "json"],
        Meta(description='"console", "json", or "auto": console on a terminal, else JSON lines.'),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description='Least level told: "debug", "info", "warning" or "error".'),
    ] = "info"
    access: Annotated[
        Literal["off", "errors", "all"],
        Meta(
            description='Which requests are told, without query and body: "off", "errors" (those '
            'the server failed to answer: 5xx but 503), or "all".'
        ),
    ] = "errors"
    access_sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description='Of the requests that "all" adds to "errors", one in so many is told, at '
            "random.",
        ),
    ] = 1
    recent_max: Annotated[
        int,
        Meta(ge=1, le=100_000, description="Latest events kept in memory, for operators to read."),
    ] = 1_000


class Metrics(Section, frozen=True):
    """What /metrics exposes, for Prometheus."""

    access: Annotated[
        Literal["off", "loopback", "public"],
        Meta(
            description='Who may read it: "off": nobody; "loopback": clients on this machine, but '
            'none through a proxy that says so; "public": everybody. Others get 404.'
        ),
    ] = "loopback"


class Tracing(Section, frozen=True):
    """OpenTelemetry traces; needs more packages: see docs/metrics.md."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where traces are sent, as OTLP over HTTP: "
            "http://localhost:4318/v1/traces; empty: nothing is traced. What OTEL_EXPORTER_OTLP_* "
            "variables say about headers and certificates holds."
        ),
    ] = ""
    sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="One request in so many is traced; one that comes as a part of a trace "
            "is traced if that is.",
        ),
    ] = 1
