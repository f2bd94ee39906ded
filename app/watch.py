"""Everything that observes one program: its metrics, logs and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from app.http.instruments import AccessLog, Instruments
from app.metrics.page import Access, Page
from app.metrics.sources import Meters
from app.overview import Overview

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.database.driver import Database
    from actors.meter import ClockMeter, Meter
    from actors.tracing import Tracer
    from app.config import Config
    from app.gateway import PublishedRuleset
    from app.http.streams.registry import StreamsStatistics
    from app.http.traffic import Traffic
    from app.metrics.sources import Sources
    from app.recent import RecentEvents
    from app.tracing import Tracing
    from bus import Observer


class Watch:
    """The instruments that the composition root passes to the parts of the program.

    ``observer`` is for the bus, ``meter`` and ``tracer`` for the actors, ``traffic``, the
    `instruments` and the `overview` for the HTTP front. ``recent`` holds recently logged events.
    """

    def __init__(self, config: Config, tracing: Tracing, recent: RecentEvents) -> None:
        self._config = config
        self._recent = recent
        self._access = Access(config.metrics.access)
        self._access_log = AccessLog(config.log.access)
        self._tracing = tracing
        self._meters = Meters()

    @property
    def observer(self) -> Observer | None:
        """What observes the bus: operators need this even where nobody reads the metrics."""
        return self._tracing.bus(self._meters.bus)

    @property
    def meter(self) -> Meter:
        """What Storage is measured with."""
        return self._meters.storage

    @property
    def clock_meter(self) -> ClockMeter:
        """What the world clock is measured with."""
        return self._meters.world

    @property
    def tracer(self) -> Tracer:
        """What the actors are traced with."""
        return self._tracing.actors

    @property
    def traffic(self) -> Traffic:
        """What counts the connections."""
        return self._meters.traffic

    async def follow(self, database: Database) -> None:
        """Poll the database until cancelled, if anybody may read the metrics.

        Nothing may wait for this: if the database is slow, a poll takes until its deadline.
        """
        if self._access is Access.OFF:
            await trio.lowlevel.checkpoint()
        else:
            await self._meters.database.follow(database)

    def instruments(self, sources: Sources) -> Instruments:
        """Return the HTTP front's instruments, with the page of metrics."""
        page = None if self._access is Access.OFF else Page(self._access, sources, self._meters)
        return Instruments(
            self.traffic,
            self._access_log,
            self._config.log.access_sample_every,
            self._tracing.requests,
            page,
        )

    def overview(
        self,
        sources: Sources,
        ruleset: PublishedRuleset,
        streams: Callable[[], StreamsStatistics],
        wall_clock: Callable[[], datetime],
    ) -> Overview:
        """Return the operators' overview; ``streams`` reads the counts of event streams."""
        return Overview(
            self._config,
            ruleset,
            sources,
            self._meters,
            self._recent,
            streams=streams,
            wall_clock=wall_clock,
        )
