"""The Ticker's messages and answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tick:
    """The world clock after a tick: published on topic ``tick`` once it is durable."""

    tick: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class GetWorld:
    """Answers a `World`; sent on topic ``task`` with the key ``ticker``."""


@dataclass(frozen=True, slots=True)
class TickerStatistics:
    """The world clock as last stored, and how many seconds of real time it lags behind its pace."""

    tick: int
    now_ms: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class World:
    """The world clock and its pace: ``now_ms`` is world time, ``tick_ms`` a tick's length."""

    world_id: str
    tick: int
    tick_ms: int
    now_ms: int
