"""Answers that clients may cache, over real sockets: the ruleset and the API's description."""

from __future__ import annotations

import pytest
import trio

from app.etags import etag_of
from tests.app.http import harness
from tests.app.http.harness import get, serving

pytestmark = pytest.mark.usefixtures("lane")

PATH = "/v1/ruleset"
DOCUMENT = "/openapi.json"


@pytest.mark.parametrize("path", [PATH, DOCUMENT])
async def test_answer_is_not_sent_to_whoever_has_it(path: str) -> None:
    """A matching tag gets 304 with the same headers and no body, another tag the whole answer."""
    async with serving() as server:
        first = await server.client.get(path)
        assert first.headers["etag"] == etag_of(first.content).decode()
        again = await server.client.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        for name in ("etag", "cache-control"):
            assert again.headers[name] == first.headers[name]
        other = await server.client.get(path, headers={"If-None-Match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)


async def test_ruleset_has_another_tag_where_other_rules_are_in_force(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tag depends only on the rules: the same after a restart, another with other rules."""
    tags: list[str] = []
    for version in ("c0ffee", "c0ffee", "decaf"):
        monkeypatch.setattr(harness, "RULES", {**harness.RULES, "version": version})
        async with serving() as server:
            tags.append((await server.client.get(PATH)).headers["etag"])
    assert tags[0] == tags[1] != tags[2]


@pytest.mark.parametrize("path", [PATH, DOCUMENT, "/"])
async def test_answer_that_is_held_tells_its_length_and_sends_nothing(path: str) -> None:
    """A 304 has the length of the whole, or none (RFC 9110, 8.6), and the next answer follows."""
    async with serving() as server:
        whole = await server.client.get(path)
        client = await server.connect()
        with trio.fail_after(2):
            await client.send(get(path, f"If-None-Match: {whole.headers['etag']}") + get())
            held = await client.read_response()
            assert (held.status, held.body) == (304, b"")
            assert int(held.headers["content-length"]) == len(whole.content)
            assert (await client.read_response()).body == b'{"status":"ok"}'


async def test_wrong_request_for_the_ruleset_is_refused_whoever_has_it() -> None:
    """The request is checked before its tag."""
    async with serving() as server:
        headers = {"If-None-Match": "*"}
        assert (await server.client.get(f"{PATH}?x=1", headers=headers)).status_code == 422
        assert (await server.client.get("/v1/world", headers=headers)).status_code == 200
