"""The commands of the pages, typed against a real server, are answered as shown."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from bench.serving import PROGRAM
from tests.app.http.streams.harness import HANDSHAKE, WebSocketClient
from tests.app.streams.clients import connected
from tests.docs.likeness import Likeness
from tests.docs.pages import DOCS, ROOT, Step, blocks, steps
from tests.docs.shell import Said, shell
from tests.e2e.players import Player, client
from tests.e2e.server import serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.docs.shell import Shell
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer

URL = "http://127.0.0.1:8470"
"""The address of the server in the pages; the tests' server has another."""

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the pages' commands use curl")


@pytest.fixture
def server(postgres: PostgresServer) -> Iterator[Server]:
    """Run a server as `make run` does, except for its port and its cheap hashes."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__RULESET": "tutorial",
        "HOLDFAST_WORLD__TICK_MS": "250",
        "HOLDFAST_AUTH__TOKEN_SECONDS": "900",
    }
    with reachable_directory() as directory, serving(directory, **settings) as running:
        yield running
        assert running.failures() == []


def check(shown: str, said: Said, likeness: Likeness) -> list[str]:
    """Compare an answer with the one that a page shows."""
    head, _, body = shown.partition("\n\n")
    status_line, *lines = head.splitlines()
    status = status_line.split()[1]
    found = [] if status in said.status_line.split() else [f"{status} and not {said.status_line}"]
    for line in lines:
        name, _, value = line.partition(":")
        actual = said.headers.get(name.lower())
        if actual != value.strip():
            found.append(f"{name} is {actual!r}, the page has {value.strip()!r}")
    if "text/event-stream" in head:
        return found + _check_stream(body, said.output, likeness)
    if not body:
        return found + ([said.output] if said.output else [])
    return found + likeness.differences(json.loads(body), said.json)


def _check_stream(shown: str, actual: str, likeness: Likeness) -> list[str]:
    """Compare the events of a stream: those shown come in this order; others may come between."""
    told = _events(actual)
    found: list[str] = []
    for name, data in _events(shown):
        while told and told[0][0] != name:
            told.pop(0)
        if not told:
            return [*found, f"no event {name}"]
        found += likeness.differences(json.loads(data), json.loads(told.pop(0)[1]), name)
    return found


def _events(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^id: \d+\nevent: (\S+)\ndata: (.*)$", text, re.MULTILINE)


def start(server: Server, line: str) -> None:
    """Do what a page's ``make run`` does: start the server, or restart it if it runs."""
    words = shlex.split(line)
    settings = dict(word.split("=", 1) for word in words[:-2])
    server.stop()
    server.start(**settings)


def walk(console: Shell, page_steps: list[Step], server: Server) -> Iterator[str]:
    """Type every step; report each whose result differs from the page."""
    likeness = Likeness()
    for step in page_steps:
        where = f"line {step.commands.line}"
        if step.commands.text.endswith("make run"):
            start(server, step.commands.text)
            # Each start on port 0 gives another address.
            console.type(f"url={server.url}")
            continue
        said = console.type(step.commands.text.replace(URL, server.url))
        if said.exit_status != 0:
            yield f"{where}: exit status {said.exit_status}: {said.output}"
        elif step.answer is not None and step.answer.language == "http":
            for difference in check(step.answer.text, said, likeness):
                yield f"{where}: {difference}"
        elif step.answer is not None:
            for difference in likeness.differences(step.answer.text, said.output):
                yield f"{where}: {difference}"
        elif said.status_line.split()[1:2] and int(said.status_line.split()[1]) >= 400:
            yield f"{where}: refused: {said.output}"


@needs_curl
def test_api_guide_is_answered_as_it_shows(server: Server, tmp_path: Path) -> None:
    """Every command of the API guide gives the answer shown below it."""
    guide = steps(DOCS / "api.md")
    assert sum(step.answer is not None for step in guide) > 15
    with shell(tmp_path) as console:
        assert list(walk(console, guide, server)) == []


async def test_api_guide_websocket_speaks_as_it_shows(server: Server) -> None:
    """The first message of the guide's browser is accepted, and the first answer is as shown."""
    guide = list(blocks(DOCS / "api.md"))
    [script] = [block.text for block in guide if block.language == "js"]
    [message] = [block.text for block in guide if block.language == "json"]
    [path] = re.findall(r"ws://[^/]+(/[^\"]+)\"", script)
    [members] = re.findall(r"JSON\.stringify\(\{ access_token: token, (\w+): 0 \}\)", script)
    async with client(server.url) as http, connected(server.url) as stream:
        player = await Player.join(http)
        await player.http.get("/v1/inventory", headers=player.bearer)
        follower = WebSocketClient(stream)
        await follower.open(path, *HANDSHAKE)
        await follower.login(access_token=player.tokens["access_token"], **{members: 0})
        told = await follower.next()
    assert told is not None
    shown = {"id": told.id, "event": told.name, "data": told.data}
    assert Likeness().differences(json.loads(message), shown) == []


@needs_curl
def test_readme_first_session_works(server: Server, tmp_path: Path) -> None:
    """The README's first session works unchanged."""
    session = steps(ROOT / "README.md", under="## A first session")
    assert session
    with shell(tmp_path) as console:
        assert list(walk(console, session, server)) == []
        owned = console.type('curl -s $url/v1/inventory -H "$auth"').json
    assert owned["buildings"] == {"cottage": 1}


@needs_curl
def test_first_world_goes_as_it_is_told(postgres: PostgresServer) -> None:
    """Every step of the page works, from the first start to your own game."""
    first_world = steps(DOCS / "first-world.md")
    assert len(first_world) > 10
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__RULESET": "tutorial",
        "HOLDFAST_WORLD__TICK_MS": "250",
    }
    with reachable_directory() as place, serving(place, **settings) as server:
        shutil.copytree(ROOT / "rulesets", place / "rulesets")
        program = place / ".venv" / "bin" / "holdfast"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
        program.chmod(0o755)
        with shell(place) as console:
            assert list(walk(console, first_world, server)) == []
        assert server.stop() == 0


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_pages_show_json_that_is_json(page: Path) -> None:
    """Everything that a page presents as JSON parses as JSON."""
    broken: list[str] = []
    for block in blocks(page):
        if block.language == "json":
            try:
                json.loads(block.text)
            except ValueError as error:
                broken.append(f"line {block.line}: {error}")
    assert broken == []
