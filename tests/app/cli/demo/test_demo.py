"""What ``holdfast demo`` promises: it plays against a real server, and sees when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def test_demo_tells_of_something_else_at_the_address(tmp_path: Path) -> None:
    """An address that is none is refused in one line as well."""
    done = run("demo", "--url", "nonsense", cwd=tmp_path)
    assert done.status == 1
    assert "nonsense" in done.complaint
