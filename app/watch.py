"""Everything that watches one program: what is measured, logged and traced of it, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.http.instruments import AccessLog, Instruments
from app.metrics.page import Access, Page
from app.metrics.sources import Meters

if TYPE_CHECKING:
    from actors.meter import Meter
    from actors.tracing import Tracer
    from app.config import Config
    from app.http.traffic import Traffic
    from app.metrics.sources import Sources
    from app.tracing import Tracing
    from bus import Observer


class Watch:
    """What the composer hands to the parts of the program that it puts together.

    ``observer`` is for the bus, ``meter`` and ``tracer`` for the actors, ``traffic`` and the
    `instruments` for the HTTP front.
    """

    def __init__(self, config: Config, tracing: Tracing) -> None:
        self._access = Access(config.metrics.access)
        self._access_log = AccessLog(config.log.access)
        self._tracing = tracing
        self._meters = Meters()

    @property
    def observer(self) -> Observer | None:
        """What observes the bus; None where nobody wants to know."""
        return self._tracing.bus(None if self._access is Access.OFF else self._meters.bus)

    @property
    def meter(self) -> Meter:
        """What Storage is measured with."""
        return self._meters.storage

    @property
    def tracer(self) -> Tracer:
        """What the actors are traced with."""
        return self._tracing.actors

    @property
    def traffic(self) -> Traffic:
        """What counts the connections."""
        return self._meters.traffic

    def instruments(self, sources: Sources) -> Instruments:
        """Give the HTTP front what it is watched with, and the page that tells of all this."""
        page = None if self._access is Access.OFF else Page(self._access, sources, self._meters)
        return Instruments(self.traffic, self._access_log, self._tracing.requests, page)
