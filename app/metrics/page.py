"""``GET /metrics``: who may read it, and its text."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

import trio
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from app.http.errors import NotFound
from app.http.exchange import HttpResponse
from app.metrics.collector import ProgramCollector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

    from app.http.exchange import Headers
    from app.metrics.sources import Meters, Sources

SLICE = 100
"""Samples written between two checkpoints: about half a millisecond of work."""

_FORWARDED = (b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via")
_HEADERS = (
    (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode("ascii")),
    (b"cache-control", b"no-store"),
)


class Access(Enum):
    """Who may read the metrics."""

    OFF = "off"
    LOOPBACK = "loopback"
    PUBLIC = "public"

    def allows(self, client: str, headers: Headers) -> bool:
        """Decide by the address that the connection comes from.

        A proxy on the same machine connects from loopback for any client: a request that says it
        was forwarded does not count as local.
        """
        if self is Access.LOOPBACK:
            return _is_loopback(client) and not any(headers.all(name) for name in _FORWARDED)
        return self is Access.PUBLIC


class Page:
    """The metrics of one program as text (Prometheus's text format 0.0.4)."""

    def __init__(self, access: Access, sources: Sources, meters: Meters) -> None:
        self._access = access
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(ProgramCollector(sources, meters))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    async def respond(self, client: str, headers: Headers) -> HttpResponse:
        """Return the metrics, rendered in slices that let other tasks run in between.

        Raises:
            NotFound: this client may not read them; this also hides that they exist.
        """
        if not self._access.allows(client, headers):
            raise NotFound("nothing exists at this path")
        parts: list[bytes] = []
        for family in self.registry.collect():
            for piece in _written(family):
                parts.append(piece)
                await trio.lowlevel.checkpoint()
        return HttpResponse(200, _HEADERS, b"".join(parts))


class _Alone(Collector):
    """One family, for the library to render on its own."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return the family."""
        return (self._family,)


def _written(family: Metric) -> Iterator[bytes]:
    """Render a family, `SLICE` samples at a time; its header precedes the first."""
    samples = family.samples
    family.samples = samples[:SLICE]
    yield generate_latest(_Alone(family))
    for start in range(SLICE, len(samples), SLICE):
        family.samples = samples[start : start + SLICE]
        _help, _type, lines = generate_latest(_Alone(family)).split(b"\n", 2)
        yield lines


def _is_loopback(client: str) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback
