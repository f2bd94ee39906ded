"""The pages over HTTP."""

from __future__ import annotations

import re

import pytest

from tests.app.http.harness import serving

pytestmark = pytest.mark.usefixtures("lane")


@pytest.mark.parametrize("path", ["/", "/console"])
async def test_page_comes_with_all_that_it_names(path: str) -> None:
    """A page is HTML whose scripts and styles exist, each under its own type."""
    async with serving() as server:
        page = await server.client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "x-request-id" in page.headers
        named = set(re.findall(r'"(/pages/[^"#]+)', page.text))
        assert len(named) > 5
        for name in named:
            file = await server.client.get(name)
            assert file.status_code == 200, name
            assert file.headers["content-type"].startswith(("text/", "image/svg+xml"))


async def test_page_is_not_sent_to_whoever_has_it() -> None:
    """A browser that sends the page's tag gets 304 and no body."""
    async with serving() as server:
        first = await server.client.get("/")
        again = await server.client.get("/", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]


async def test_files_of_another_version_are_not_there() -> None:
    """A path with another digest is a plain 404, a method that changes something a 405."""
    async with serving() as server:
        assert (await server.client.get("/pages/0123456789abcdef/play/main.js")).status_code == 404
        assert (await server.client.post("/", json={})).status_code == 405
