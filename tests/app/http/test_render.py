"""Answers as bytes: each is true at the moment it is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from app.http.direct.render import Renderer
from app.http.exchange import HttpResponse
from app.http.policy import Policy
from tests.app.http.harness import serving


def test_date_is_that_of_the_clock() -> None:
    """It advances each second, and goes back if the clock is set back (RFC 9110, 6.6.1)."""
    now = [0.0]
    renderer = Renderer(Policy(), clock=lambda: now[0])
    for seconds, date in (
        (784111777.0, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (784111777.9, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (784111778.0, b"Sun, 06 Nov 1994 08:49:38 GMT"),
        (784111777.0, b"Sun, 06 Nov 1994 08:49:37 GMT"),
    ):
        now[0] = seconds
        answer = renderer.render(HttpResponse(200, (), b""), "id", close=False)
        assert b"\r\ndate: %b\r\n" % date in answer


def test_headers_that_vary_for_ever_are_not_kept() -> None:
    """The cache of rendered heads is bounded, and each answer still has its own headers."""
    renderer = Renderer(Policy())
    for number in range(2_000):
        tag = b"%d" % number
        answer = renderer.render(HttpResponse(200, ((b"etag", tag),), b""), "id", close=False)
        assert b"\r\netag: %b\r\n" % tag in answer
    assert len(renderer._heads) <= 512


@pytest.mark.usefixtures("lane")
async def test_answers_tell_their_date() -> None:
    """Once, through both lanes."""
    async with serving() as server:
        response = await server.client.get("/healthz")
        [date] = response.headers.get_list("date")
        assert abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()) < 60
