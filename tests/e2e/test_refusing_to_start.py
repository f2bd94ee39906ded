"""A server that cannot start prints one clear line, exits, and leaves nothing half-made."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.e2e.server import (
    PROGRAM,
    SETTINGS,
    START_TIMEOUT_S,
    WORLD,
    complaint,
    data_dir_setting,
    environment,
    run_to_its_end,
    serving,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import PostgresServer


def test_data_directory_in_use_is_refused(place: Path) -> None:
    """A second server on a data directory names the first, which continues undisturbed."""
    with serving(place) as server:
        done = run_to_its_end(place)
        line = complaint(done)
        assert "in use" in line
        assert str(server.process.pid) in line
        assert server.process.poll() is None
        assert server.stop() == 0


def test_database_in_use_is_refused(place: Path, postgres: PostgresServer) -> None:
    """A second server on an external database is refused, from any data directory."""
    dsn = postgres.create_database()
    for name in ("one", "two"):
        (place / name).mkdir()
    with serving(place / "one", HOLDFAST_DATABASE__DSN=dsn) as server:
        done = run_to_its_end(place / "two", HOLDFAST_DATABASE__DSN=dsn)
        assert "another Holdfast server" in complaint(done)
        assert server.stop() == 0


def test_port_in_use_is_refused(place: Path) -> None:
    """The line names the port, and no PostgreSQL is left running; with another port it works."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = complaint(run_to_its_end(place, HOLDFAST_HTTP__PORT=port))
    assert port in line
    assert "in use" in line
    with serving(place) as server:
        assert server.events("postgres_orphan_found") == []
        assert server.stop() == 0


def test_wrong_dsn_is_refused_without_its_password(place: Path, postgres: PostgresServer) -> None:
    """For a missing server or database the line says where, without the password."""
    nowhere = "postgresql://someone:hush-hush@127.0.0.1:1/game"
    line = complaint(run_to_its_end(place, HOLDFAST_DATABASE__DSN=nowhere))
    assert "127.0.0.1:1" in line
    assert "hush" not in line
    missing = postgres.dsn.replace("/postgres?", "/no_such_game?")
    assert missing != postgres.dsn
    assert "no_such_game" in complaint(run_to_its_end(place, HOLDFAST_DATABASE__DSN=missing))


def test_unknown_resource_is_refused(place: Path) -> None:
    """A ruleset's error is reported with its place before anything is created."""
    rules = place / "broken.toml"
    rules.write_text(WORLD.read_text().replace("cost = { gold = 900 }", "cost = { glod = 900 }"))
    line = complaint(run_to_its_end(place, HOLDFAST_WORLD__RULESET=str(rules)))
    assert "broken.toml" in line
    assert "buildings.palace.cost" in line
    assert "glod" in line
    assert [path.name for path in place.iterdir()] == ["broken.toml"]


def test_data_directory_that_cannot_be_made_is_refused(place: Path) -> None:
    """A path that is not a directory is named."""
    (place / "data").write_text("not a directory")
    assert str(place / "data") in complaint(run_to_its_end(place))
    assert (place / "data").read_text() == "not a directory"
    assert list(place.iterdir()) == [place / "data"]


def test_data_directory_without_write_permission_is_refused(place: Path) -> None:
    """A user who may not write there is told so, and nothing is created."""
    # Root may write to every directory; any user can run the system's own Python.
    user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    directory = place / "data"
    directory.mkdir(mode=0o555)
    # It must have the same version: packages with compiled parts fit no other.
    same = f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = None if user is None else shutil.which(same, path=os.defpath)
    command = [python or sys.executable, "-c", PROGRAM, "serve"]
    env = environment({**SETTINGS, **data_dir_setting(place)})
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], *sys.path[1:]])
    try:
        done = subprocess.run(
            command,
            cwd=place,
            env={**env, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
            user=user,
        )
    except PermissionError:
        pytest.skip("the unprivileged user cannot reach this Python")
    if "ModuleNotFoundError" in done.stderr or "ImportError" in done.stderr:
        pytest.skip("the unprivileged user cannot reach the program and what it needs")
    line = complaint(done)
    assert str(directory) in line
    assert "ermission denied" in line
    assert list(directory.iterdir()) == []
