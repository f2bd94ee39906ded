"""What ``holdfast serve`` promises: it says where it is, or in one line why it cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from actors.database.migrate import seen_versions
from app.cli.serve import announce
from app.listening import Listening
from tests.app.cli.support import TIMEOUT_S, command, environment, run, running_server
from tests.postgres import run_script

if TYPE_CHECKING:
    from tests.postgres import PostgresServer


def test_serve_tells_where_it_is_and_what_to_try(tmp_path: Path, database_dsn: str) -> None:
    """The URL works, the first curl can be copied, and SIGTERM ends it with status 0."""
    with running_server(tmp_path, HOLDFAST_DATABASE__DSN=database_dsn) as server:
        curl = next(line for line in server.greeting.splitlines() if "curl" in line)
        url = curl.split("curl ")[1]
        assert url == f"{server.url}/v1/world"
        assert httpx.get(url).json()["ruleset"]["name"] == "tutorial"
        assert server.stop() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that cannot be written")
def test_serve_does_without_a_standard_output(tmp_path: Path, database_dsn: str) -> None:
    """A greeting that cannot be written is lost, but nothing else: the server stops as usual."""
    log = tmp_path / "server.log"
    with Path("/dev/full").open("w") as full, log.open("w") as stderr:
        process = subprocess.Popen(
            command("serve", "--port", "0"),
            cwd=tmp_path,
            env=environment({"HOLDFAST_DATABASE__DSN": database_dsn}),
            stdout=full,
            stderr=stderr,
        )
    guard = threading.Timer(TIMEOUT_S, process.kill)
    guard.start()
    while "server_ready" not in log.read_text() and process.poll() is None:
        time.sleep(0.02)
    process.terminate()
    status = process.wait()
    guard.cancel()
    assert status == 0, log.read_text()
    assert "Exception" not in log.read_text()


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-"])
def test_serve_runs_where_standard_error_is_closed(
    tmp_path: Path, database_dsn: str, closed: str
) -> None:
    """Its log then goes nowhere, and it serves and stops as usual; no socket takes descriptor 2."""
    with subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command("serve", "--port", "0")],
        cwd=tmp_path,
        env=environment({"HOLDFAST_DATABASE__DSN": database_dsn}),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(TIMEOUT_S, process.kill)
        guard.start()
        assert process.stdout is not None
        greeting = next((line for line in process.stdout if "ready at" in line), "")
        taken = Path(f"/proc/{process.pid}/fd/2")
        goes_to = taken.readlink() if taken.parent.is_dir() else Path(os.devnull)
        process.terminate()
        status = process.wait()
        guard.cancel()
    assert greeting
    assert goes_to == Path(os.devnull)
    assert status == 0


def test_serve_names_the_demo_with_the_url_that_it_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At the default address the demo needs no option; anywhere else the option is shown."""
    announce(Listening("127.0.0.1", 8470))
    assert "holdfast demo\n" in capsys.readouterr().out
    announce(Listening("127.0.0.1", 9000))
    assert "holdfast demo --url http://127.0.0.1:9000\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("called", "path", "named"),
    [
        ("bin/holdfast", "bin", "holdfast demo"),
        ("bin/holdfast", "", "bin/holdfast demo"),
        ("/elsewhere/holdfast", "", "/elsewhere/holdfast demo"),
        ("script.py", "", "holdfast demo"),
    ],
)
def test_serve_names_the_demo_as_it_can_be_called(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    called: str,
    path: str,
    named: str,
) -> None:
    """The command shown can be copied: its name if that is on PATH, else its path."""
    program = tmp_path / "bin" / "holdfast"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / path) if path else "")
    monkeypatch.setattr(sys, "argv", [called])
    announce(Listening("127.0.0.1", 8470))
    assert f"or     {named}\n" in capsys.readouterr().out


def test_serve_refuses_an_unknown_key(tmp_path: Path) -> None:
    """A misspelt key stops the server before it has made anything."""
    (tmp_path / "config.toml").write_text("[http]\nprot = 1\n")
    done = run("serve", cwd=tmp_path)
    assert done.status == 1
    assert done.complaint.startswith("holdfast: config.toml: http.prot: no such key")
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


def test_serve_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A named configuration must exist; without a name none is required."""
    done = run("serve", "--config", "none.toml", cwd=tmp_path)
    assert done.status == 1
    assert (
        done.complaint
        == f"holdfast: {tmp_path}/none.toml: cannot be read: No such file or directory"
    )


def test_serve_refuses_a_setting_out_of_range(tmp_path: Path) -> None:
    """A wrong variable or option is named."""
    done = run("serve", cwd=tmp_path, HOLDFAST_WORLD__TICK_MS="1")
    assert done.complaint.startswith("holdfast: HOLDFAST_WORLD__TICK_MS: world.tick_ms: must be")
    done = run("serve", "--port", "70000", cwd=tmp_path)
    assert done.complaint.startswith("holdfast: --port: http.port: must be")
    assert list(tmp_path.iterdir()) == []


def test_serve_refuses_a_database_that_it_may_not_change(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """On a standby, say, it would call itself ready and could do nothing."""
    dsn = postgres.create_database(migrated=False)
    trio.run(partial(postgres.set_read_only, dsn, whether=True))
    done = run("serve", "--port", "0", cwd=tmp_path, HOLDFAST_DATABASE__DSN=dsn)
    assert done.status == 1
    assert done.complaint.startswith("holdfast: the database of database.dsn is read-only: ")


def test_serve_refuses_a_pooler_before_it_does_anything(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """With a transaction-mode pooler, the lock would belong to nobody, and stay."""
    dsn = postgres.create_database(migrated=False)
    (tmp_path / "sitecustomize.py").write_text(
        "from actors.database import errors, pooling\n"
        "async def refuse(*_):\n"
        "    raise errors.DatabaseUnavailable('it is a pooler')\n"
        "pooling.check_own_session = refuse\n"
    )
    place = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    done = run("serve", "--port", "0", cwd=tmp_path, HOLDFAST_DATABASE__DSN=dsn, PYTHONPATH=place)
    assert (done.status, done.complaint) == (1, "holdfast: it is a pooler")
    assert trio.run(run_script, dsn, seen_versions) == ()
