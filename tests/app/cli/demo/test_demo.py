"""What ``holdfast demo`` promises: it plays against a real server, and sees when there is none."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main
from tests.app.cli.support import run, running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresServer


def test_demo_plays_to_the_end(tmp_path: Path, postgres: PostgresServer) -> None:
    """Against a server with the shipped rules, quickened, all is as promised."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__SPEED": "3",
        "HOLDFAST_WORLD__TICK_MS": "50",
    }
    with running_server(tmp_path, **settings) as server:
        done = run("demo", "--url", server.url, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.endswith("All as promised.\n")
    for told in ("insufficient-resources", "came back", "completed", "replay to exactly"):
        assert told in done.stdout


def test_demo_plays_by_any_rules(tmp_path: Path, postgres: PostgresServer) -> None:
    """With another game's rules it finds its way; what takes too long is left to itself."""
    settings = {
        "HOLDFAST_DATABASE__DSN": postgres.create_database(),
        "HOLDFAST_WORLD__RULESET": "ogame",
    }
    with running_server(tmp_path, **settings) as server:
        done = run("demo", "--url", server.url, "--patience", "0.5", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert "left to itself" in done.stdout
    assert done.stdout.endswith("All as promised.\n")


def test_demo_tells_of_a_server_that_is_not_there(tmp_path: Path) -> None:
    """Without a server it says so in one line, and how to start one."""
    done = run("demo", "--url", "http://127.0.0.1:1", cwd=tmp_path)
    assert done.status == 1
    assert done.complaint == (
        "holdfast: no server answers at http://127.0.0.1:1; start one with 'holdfast serve'"
    )


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_demo_tells_of_an_address_that_is_none(url: str) -> None:
    """An address that is none is refused in one line that repeats it."""
    result = CliRunner().invoke(main, ["demo", "--url", url])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"holdfast: {url!r} is no URL")


def test_demo_tells_of_another_program_at_the_address(tmp_path: Path) -> None:
    """What answers otherwise than a Holdfast server is told of in one line."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer_once() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer_once)
        thread.start()
        done = run("demo", "--url", f"http://127.0.0.1:{port}", cwd=tmp_path)
        thread.join()
    assert done.status == 1
    assert "GET /v1/world was answered with another shape" in done.complaint
