"""Who may read the metrics, and that the text equals the client library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from app.http.errors import NotFound
from app.http.exchange import Headers
from app.metrics import page as page_module
from app.metrics.page import SLICE, Access, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

NO_HEADERS = Headers([])


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.7", False),
        ("10.0.0.1", False),
        ("::ffff:192.0.2.7", False),
        ("2001:db8::1", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_loopback_access_goes_by_the_address_of_the_connection(client: str, allowed: bool) -> None:
    """This machine's own addresses may read, in either notation; no others may."""
    assert Access.LOOPBACK.allows(client, NO_HEADERS) is allowed


@pytest.mark.parametrize(
    "header", [b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"]
)
def test_loopback_access_is_not_for_those_behind_a_proxy(header: bytes) -> None:
    """A proxy on this machine that names its client opens nothing to that client."""
    assert not Access.LOOPBACK.allows("127.0.0.1", Headers([(header, b"198.51.100.1")]))


@pytest.mark.parametrize(("access", "allowed"), [(Access.PUBLIC, True), (Access.OFF, False)])
def test_access_is_everybodys_or_nobodys(access: Access, allowed: bool) -> None:
    """Public is for all, off for none, wherever they connect from."""
    for client in ("127.0.0.1", "192.0.2.7"):
        assert access.allows(client, Headers([(b"via", b"x")])) is allowed


class Large(Collector):
    """More samples than are written at once, then a small family, then one without samples."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def collect(self) -> Iterator[Metric]:
        """Make the families again."""
        for name, samples in (("large", self.samples), ("small", 1), ("empty", 0)):
            family = GaugeMetricFamily(name, 'of \\ and\n"', labels=["n"])
            for n in range(samples):
                family.add_metric([f"{n}\n\\"], n)
            yield family


@pytest.mark.parametrize("samples", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE + 7])
async def test_page_in_slices_is_what_the_library_writes_at_once(
    monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    """However many samples a family has, its text is the same, and it stalls nobody for long."""
    page = _page(monkeypatch, Large(samples), Access.PUBLIC)
    seen: list[int] = []

    async def work() -> None:
        while True:
            seen.append(1)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await trio.lowlevel.checkpoint()
        answer = await page.respond("192.0.2.7", NO_HEADERS)
        nursery.cancel_scope.cancel()
    assert answer.body.startswith(generate_latest(Large(samples)))
    assert dict(answer.headers)[b"content-type"].startswith(b"text/plain; version=0.0.4")
    assert len(seen) > samples // SLICE


async def test_page_is_not_there_for_those_who_may_not_read_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They get the answer of any path that does not exist."""
    page = _page(monkeypatch, Large(1), Access.LOOPBACK)
    with pytest.raises(NotFound, match=r"^nothing exists at this path$"):
        await page.respond("192.0.2.7", NO_HEADERS)


def _page(monkeypatch: pytest.MonkeyPatch, collector: Collector, access: Access) -> Page:
    """Make a page from this collector."""

    def collect(_sources: object, _meters: object) -> Collector:
        return collector

    monkeypatch.setattr(page_module, "ProgramCollector", collect)
    return Page(access, cast("Any", None), cast("Any", None))
