"""What ``holdfast backup`` and ``holdfast restore`` promise to the operator."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from actors.database.cluster import Cluster
from actors.database.processes import cluster_processes
from actors.database.seal import is_whole
from app.cli.backup import _size
from tests.app.cli.support import (
    command,
    environment,
    later_program,
    run,
    run_at_terminal,
    run_unheard,
    running_server,
)
from tests.postgres import reachable_directory, run_script

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.database.session import Session
    from tests.postgres import PostgresServer

ANN = {"username": "ann", "password": "correct horse"}


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """Return a second place, as on another machine."""
    with reachable_directory() as directory:
        yield directory


def call(url: str, method: str, path: str, body: object = None, token: str = "") -> Any:
    """Make a call that must succeed."""
    headers = {"Idempotency-Key": "key"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    response = httpx.request(method, url + path, json=body, headers=headers, trust_env=False)
    assert response.is_success, response.text
    return response.json()


def play(url: str) -> Any:
    """Create an account that has ordered something; return its ledger."""
    call(url, "POST", "/v1/accounts", ANN)
    token = call(url, "POST", "/v1/sessions", ANN)["access_token"]
    call(url, "POST", "/v1/inventory/orders", {"asset": "cottage"}, token)
    return call(url, "GET", "/v1/inventory/ledger", token=token)["entries"]


def remember(url: str) -> Any:
    """Log in to that account; return its ledger."""
    token = call(url, "POST", "/v1/sessions", ANN)["access_token"]
    return call(url, "GET", "/v1/inventory/ledger", token=token)["entries"]


def test_backup_goes_to_another_machine_and_beyond(
    place: Path, elsewhere: Path, postgres: PostgresServer
) -> None:
    """A live world is backed up, restored elsewhere, and outgrows the embedded database."""
    file = place / "world.dump"
    with running_server(place) as server:
        ledger = play(server.url)
        done = run("backup", str(file), cwd=place)
        assert (done.status, done.stderr) == (0, "")
        assert done.stdout.startswith(f"backed up to {file} (")
        refused = run("restore", str(file), "--force", cwd=place)
        assert (refused.status, "is in use by another" in refused.complaint) == (1, True)
    assert is_whole(file)

    done = run("restore", str(file), cwd=elsewhere)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(f"restored {file} into the data directory var (")
    refused = run("restore", str(file), cwd=elsewhere)
    assert refused.complaint == (
        "holdfast: there is a world in the data directory var already; --force replaces it"
    )
    with running_server(elsewhere) as server:
        assert remember(server.url)[: len(ledger)] == ledger
        grown = run("backup", "grown.dump", cwd=elsewhere)
        assert grown.status == 0
    proved = run("ledger", "verify", cwd=elsewhere)
    assert (proved.status, "to, in the data directory var\n" in proved.stdout) == (0, True)

    own = {"HOLDFAST_DATABASE__DSN": postgres.create_database(migrated=False)}
    done = run("restore", "grown.dump", cwd=elsewhere, **own)
    assert done.status == 0
    name = urlsplit(own["HOLDFAST_DATABASE__DSN"]).path.removeprefix("/")
    assert f"into the database {name} at " in done.stdout
    refused = run("restore", "grown.dump", cwd=elsewhere, **own)
    assert f"there is a world in the database {name} at " in refused.complaint
    with running_server(elsewhere, **own) as server:
        assert remember(server.url)[: len(ledger)] == ledger
        refused = run("restore", "grown.dump", "--force", cwd=elsewhere, **own)
        assert "another Holdfast server is running" in refused.complaint
    done = run("backup", "again.dump", cwd=elsewhere, **own)
    assert (done.status, is_whole(elsewhere / "again.dump")) == (0, True)


def test_backup_works_without_a_server(place: Path) -> None:
    """The embedded database is started for as long as the backup takes."""
    assert run("init", cwd=place).status == 0
    assert run("backup", "world.dump", cwd=place).status == 0
    assert not cluster_processes(Cluster.at(place / "var").path)


def test_backup_of_nothing_is_refused(place: Path) -> None:
    """If there is no database, none is created just to be backed up."""
    done = run("backup", "world.dump", cwd=place)
    assert done.status == 1
    assert done.complaint.startswith("holdfast: there is no world in the data directory var: ")
    assert list(place.iterdir()) == []


def test_backup_does_not_replace_a_file_unasked(place: Path, database_dsn: str) -> None:
    """An existing file is kept unless --force is given."""
    settings = {"HOLDFAST_DATABASE__DSN": database_dsn}
    (place / "world.dump").write_text("precious")
    done = run("backup", "world.dump", cwd=place, **settings)
    assert done.complaint == "holdfast: world.dump exists already; --force replaces it"
    assert run("backup", "world.dump", "--force", cwd=place, **settings).status == 0
    assert is_whole(place / "world.dump")


def test_world_in_another_schema_is_not_overlooked(place: Path, postgres: PostgresServer) -> None:
    """Where a start says how to move the world, nothing says that there is none, or makes one."""
    file = place / "world.dump"
    dsn = postgres.create_database()
    at = {"HOLDFAST_DATABASE__DSN": dsn}

    async def move(session: Session) -> None:
        await session.execute("alter schema public rename to game; create schema public")

    assert run("backup", str(file), cwd=place, **at).status == 0
    trio.run(run_script, dsn, move)
    for words in (["backup", "--force", str(file)], ["restore", "--force", str(file)]):
        done = run(*words, cwd=place, **at)
        assert done.status == 1
        assert "has a world in the schema 'game'" in done.stderr, done.stderr
    # Where another database holds nothing at all, it is still what the backup is for.
    empty = postgres.create_database(migrated=False)
    done = run("restore", str(file), cwd=place, HOLDFAST_DATABASE__DSN=empty)
    assert done.status == 0, done.stderr


def test_backup_into_a_folder_that_is_not_there_is_refused(place: Path, database_dsn: str) -> None:
    """The complaint is one line that names it."""
    done = run("backup", "no/world.dump", cwd=place, HOLDFAST_DATABASE__DSN=database_dsn)
    assert (done.status, done.complaint) == (1, "holdfast: no is not a folder: create it first")


def test_backup_that_is_interrupted_leaves_nothing(place: Path, postgres: PostgresServer) -> None:
    """Ctrl-C midway: status 130, no traceback, no file and no partial file."""
    settings = {"HOLDFAST_DATABASE__DSN": postgres.create_database()}
    with subprocess.Popen(
        command("backup", "world.dump"),
        cwd=place,
        env=environment(settings),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_for_part(place)
            with postgres.frozen():
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
        finally:
            process.kill()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(place.iterdir()) == []


def wait_for_part(folder: Path) -> None:
    """Wait until a backup has begun."""
    deadline = time.monotonic() + 20
    while not any(folder.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_restore_tells_what_is_done_wherever_it_can(place: Path, postgres: PostgresServer) -> None:
    """On a line of its own at a terminal; as done even where output cannot be written."""
    settings = {"HOLDFAST_DATABASE__DSN": postgres.create_database()}
    status, (saved, end) = run_at_terminal("backup", "world.dump", cwd=place, **settings)
    assert (status, saved[:24], end) == (0, "backed up to world.dump ", "")
    restore = "restore", "world.dump", "--force"
    status, (restored, end) = run_at_terminal(*restore, cwd=place, **settings)
    assert (status, restored[:28], end) == (0, "restored world.dump into the", "")
    with Path("/dev/full").open("w") as full:
        told = run_unheard(*restore, cwd=place, out=full, **settings)
    assert told.status == 1
    assert told.complaint == (
        f"holdfast: {restored}, but standard output cannot be written: No space left on device"
    )


def test_restore_refuses_what_is_no_backup(place: Path) -> None:
    """The refusal comes before a database is made for it."""
    (place / "file").write_text("hello")
    done = run("restore", "file", cwd=place)
    assert (done.status, done.complaint) == (1, "holdfast: file is not a backup")
    assert [file.name for file in place.iterdir()] == ["file"]


def test_server_backs_up_before_it_upgrades(place: Path, elsewhere: Path) -> None:
    """A later program backs up what the earlier one left; the earlier one refuses later backups."""
    with running_server(place) as server:
        ledger = play(server.url)
    with running_server(place, **later_program(elsewhere)) as server:
        assert remember(server.url)[: len(ledger)] == ledger
    events = [json.loads(line)["event"] for line in (place / "server.log").read_text().splitlines()]
    assert events.index("database_backed_up") < events.index("database_migrated")

    for arguments in (("serve", "--port", "0"), ("accounts", "list")):
        refused = run(*arguments, cwd=place)
        assert (refused.status, "has schema version 9999" in refused.complaint) == (1, True)
    assert run("backup", "later.dump", cwd=place).status == 0
    refused = run("restore", "later.dump", "--force", cwd=place)
    assert "later.dump has schema version 9999" in refused.complaint

    (kept,) = (place / "var" / "backups").iterdir()
    assert run("restore", str(kept), "--force", cwd=place).status == 0
    with running_server(place) as server:
        assert remember(server.url)[: len(ledger)] == ledger


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (2_500_000, "2.5 MB"),
        (10**10, "10.0 GB"),
    ],
)
def test_backup_tells_sizes_as_people_do(size: int, told: str) -> None:
    """A size is shown in the unit that makes it short."""
    assert _size(size) == told
