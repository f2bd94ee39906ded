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
        Meta(description='Lowest level logged: "debug", "info", "warning" or "error".'),
    ] = "info"
    access: Annotated[
        Literal["off", "errors", "all"],
        Meta(
            description='Which requests are logged, without query and body: "off", "errors" '
            '(those the server failed to answer: 5xx except 503), or "all".'
        ),
    ] = "errors"
    access_sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description='Of the requests that "all" adds to "errors", one in this many is '
            "logged, at random.",
        ),
    ] = 1
    recent_max: Annotated[
        int,
        Meta(
            ge=1, le=100_000, description="Latest log events kept in memory for operators to read."
        ),
    ] = 1_000


class Metrics(Section, frozen=True):
    """What /metrics exposes, for Prometheus."""

    access: Annotated[
        Literal["off", "loopback", "public"],
        Meta(
            description='Who may read them: "off": nobody; "loopback": clients on this machine, '
            'except through a proxy that says so; "public": everybody. Others get 404.'
        ),
    ] = "loopback"


class Tracing(Section, frozen=True):
    """OpenTelemetry traces; they need more packages: see docs/metrics.md."""

    endpoint: Annotated[
        str,
        Meta(
            description="Where to send traces, as OTLP over HTTP: "
            "http://localhost:4318/v1/traces; empty: nothing is traced. The "
            "OTEL_EXPORTER_OTLP_* variables for headers and certificates apply."
        ),
    ] = ""
    sample_every: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="One request in this many is traced; one that arrives as part of a "
            "trace is traced if that trace is.",
        ),
    ] = 1
