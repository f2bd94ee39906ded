"""A server from one file: played against, stopped, killed, started again."""

from __future__ import annotations

import signal
import stat
from typing import TYPE_CHECKING

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

if TYPE_CHECKING:
    from tests.binary.program import Program

FIRST_START_MAX_S = 6.0
LATER_START_MAX_S = 4.0
ATTEMPTS = 3


def test_binary_plays_the_demo_for_a_user_without_anything(bare_program: Program) -> None:
    """With an ordinary user, empty environment and empty folder the server keeps its promises.

    On SIGTERM it says that all was flushed and leaves nothing running; it starts again with the
    same world.
    """
    program = bare_program
    program.start()
    played = program.run("demo", "--url", program.url)
    assert played.returncode == 0, played.stdout + played.stderr
    assert program.stop() == 0
    assert program.processes() == set()
    program.start()
    assert httpx.get(f"{program.url}/v1/world").json()["tick"] > 0
    assert program.stop() == 0
    left = {path.name for path in program.folder.iterdir()}
    assert left == {"holdfast", "server.log", "var"}


def test_binary_serves_for_root(root_program: Program) -> None:
    """Root may run it too: PostgreSQL then runs as another user, who can reach its files."""
    program = root_program
    program.start()
    assert httpx.get(f"{program.url}/healthz").status_code == 200
    owners = {psutil.Process(pid).uids().real for pid in program.processes()}
    assert owners > {0}
    assert program.stop() == 0
    assert program.processes() == set()


def test_binary_starts_quickly(program: Program) -> None:
    """The first start makes a world within 6 s; later ones take 4 s at most.

    Other work on the machine adds to these times, so each has three attempts.
    """
    first: list[float] = []
    for attempt in range(ATTEMPTS):
        program.environ["HOLDFAST_UNPACK_DIR"] = str(program.folder / f"unpacked-{attempt}")
        program.environ["HOLDFAST_STORAGE__DATA_DIR"] = str(program.folder / f"var-{attempt}")
        first.append(program.start())
        assert program.stop() == 0
        if first[-1] <= FIRST_START_MAX_S:
            break
    later: list[float] = []
    for _ in range(ATTEMPTS):
        later.append(program.start())
        assert program.stop() == 0
    assert min(first) <= FIRST_START_MAX_S, first
    assert min(later) <= LATER_START_MAX_S, later


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_binary_is_one_process_that_stops_in_order(
    program: Program, number: signal.Signals
) -> None:
    """The started process is the server: it gets Ctrl-C once, and its exit status is passed on."""
    program.start()
    server = program.server
    assert server is not None
    process = psutil.Process(server.pid)
    assert [child.name() for child in process.children()] == ["postgres"]
    assert program.stop(number) == 0
    assert program.processes() == set()


def test_binary_killed_serves_no_longer(program: Program) -> None:
    """After kill -9 nothing answers; the next start cleans up and goes on."""
    program.start()
    url = program.url
    assert program.stop(signal.SIGKILL) == -signal.SIGKILL
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/v1/world")
    program.start()
    assert httpx.get(f"{program.url}/v1/world").status_code == 200
    assert program.stop() == 0
    assert program.processes() == set()


def test_binary_brings_its_pages_and_rules(program: Program) -> None:
    """Files other than Python are included: pages, the API's contract and the shipped rules."""
    program.start()
    page = httpx.get(f"{program.url}/")
    assert page.headers["content-type"].startswith("text/html")
    assert httpx.get(f"{program.url}/openapi.json").json()["openapi"].startswith("3.")
    assert httpx.get(f"{program.url}/v1/ruleset").json()["name"] == "tutorial"
    assert program.stop() == 0


def test_binary_keeps_secrets_for_their_owner(program: Program) -> None:
    """Only its user can access what it creates in the data directory."""
    program.start()
    assert program.stop() == 0
    data = program.folder / "var"
    for path in (data, data / "token.key", data / "postgres"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
        assert path.stat().st_uid == program.user.uid
