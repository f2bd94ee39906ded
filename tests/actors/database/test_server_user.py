"""Whom the server runs as, and what that user is allowed; these tests play root and others."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import LogCapture

from actors.database import server_user as module
from actors.database.access import may_search
from actors.database.errors import DataDirectoryError, EmbeddedPostgresError
from actors.database.server_user import ServerUser, server_user
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.actors.database.lists import Lists

STRANGER_UID = 54321
STRANGER = ServerUser("stranger", STRANGER_UID, STRANGER_UID, switch=True)


def entry(name: str, uid: int) -> pwd.struct_passwd:
    """Make a line of the system's user list."""
    return pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/false"))


class Users:
    """A stand-in for the system's users."""

    def __init__(self, *entries: pwd.struct_passwd) -> None:
        self.entries = list(entries)
        self.struct_passwd = pwd.struct_passwd

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        """Find a user by name."""
        return {each.pw_name: each for each in self.entries}[name]

    def getpwuid(self, uid: int) -> pwd.struct_passwd:
        """Find a user by number."""
        return {each.pw_uid: each for each in self.entries}[uid]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Play one of the given users."""

    def play_user(uid: int, users: Users) -> None:
        monkeypatch.setattr(module, "pwd", users)
        monkeypatch.setattr(os, "geteuid", lambda: uid)

    return play_user


def test_server_user_is_oneself(tmp_path: Path, play: Any) -> None:
    """A user other than root runs the server, old or new, and changes nothing for it."""
    play(7, Users(entry("me", 7)))
    user = server_user(tmp_path / "new")
    assert (user.name, user.uid, user.switch, user.process_options) == ("me", 7, False, {})
    user.own(tmp_path)
    tmp_path.chmod(0o700)
    user.let_reach(tmp_path, log=quiet_log())
    user.let_read(tmp_path, sample=tmp_path, log=quiet_log())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_server_user_without_a_name_makes_no_cluster(tmp_path: Path, play: Any) -> None:
    """A numeric user without an entry, as some containers have, is told what to do about it."""
    play(STRANGER_UID, Users(entry("root", 0)))
    with pytest.raises(EmbeddedPostgresError, match=f"user {STRANGER_UID} cannot create"):
        server_user(tmp_path / "new")
    with pytest.raises(DataDirectoryError):
        server_user(tmp_path)


def test_server_user_refuses_another_s_cluster(tmp_path: Path, play: Any) -> None:
    """Another user's cluster is refused by name, or by number if there is no name."""
    owner = tmp_path.stat().st_uid
    play(owner + 7, Users(entry("me", owner + 7), entry("them", owner)))
    with pytest.raises(DataDirectoryError, match="belongs to them, not to you"):
        server_user(tmp_path)
    play(owner + 7, Users())
    with pytest.raises(DataDirectoryError, match=f"belongs to {owner}, not to you"):
        server_user(tmp_path)


def test_server_user_of_root_is_one_of_its_own(tmp_path: Path, play: Any) -> None:
    """Root hands a new cluster to the user made for it, and to no other PostgreSQL's."""
    play(0, Users(entry("postgres", 100), entry("pgserver", 101)))
    user = server_user(tmp_path / "new")
    assert user.name == "pgserver"
    assert user.process_options == {"user": user.uid, "group": user.gid, "extra_groups": []}


def test_server_user_of_root_is_the_cluster_s_owner(tmp_path: Path, play: Any) -> None:
    """Root runs a cluster as its owner, whoever that is."""
    users = Users(entry("postgres", 100), entry("keeper", STRANGER_UID))
    cluster = _cluster_of(tmp_path, STRANGER_UID)
    play(0, users)
    assert server_user(cluster).name == "keeper"


def test_server_user_of_root_refuses_impossible_owners(tmp_path: Path, play: Any) -> None:
    """A cluster owned by root, or by nobody known, produces one line that says what to do."""
    play(0, Users(entry("postgres", 100)))
    with pytest.raises(DataDirectoryError, match=f"unknown user {STRANGER_UID}"):
        server_user(_cluster_of(tmp_path, STRANGER_UID))
    with pytest.raises(DataDirectoryError, match="chown -R pgserver"):
        server_user(_cluster_of(tmp_path, 0))


def _cluster_of(parent: Path, owner: int) -> Any:
    """Return a stand-in for a cluster's path, so that no test needs to be root."""

    class Cluster:
        def exists(self) -> bool:
            return True

        def stat(self) -> os.stat_result:
            status = list(parent.stat())
            status[4] = owner
            return os.stat_result(status)

        def __str__(self) -> str:
            return "cluster"

    return Cluster()


@pytest.mark.parametrize("others", [(), (entry("postgres", 100),)])
def test_server_user_of_root_is_made(
    tmp_path: Path, play: Any, monkeypatch: pytest.MonkeyPatch, others: tuple[Any, ...]
) -> None:
    """If there is no such user, one is made that nobody can log in as."""
    users = Users(*others)
    commands: list[list[str]] = []

    def run(command: list[str], **_options: object) -> None:
        commands.append(command)
        users.entries.append(entry(command[-1], 999))

    play(0, users)
    monkeypatch.setattr(subprocess, "run", run)
    assert server_user(tmp_path / "new").name == "pgserver"
    assert commands[0][:2] == ["useradd", "--system"]


def test_server_user_of_root_is_shared_where_none_can_be_made(
    tmp_path: Path, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that makes no users, but has PostgreSQL's, still starts."""

    def run(*_args: object, **_options: object) -> None:
        raise FileNotFoundError("useradd")

    play(0, Users(entry("postgres", 100)))
    monkeypatch.setattr(subprocess, "run", run)
    assert server_user(tmp_path / "new").name == "postgres"


def test_server_user_of_root_may_be_made_by_another_process(
    tmp_path: Path, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If two start at once, one makes the user, and both run as it."""
    users = Users(entry("postgres", 100))

    def run(command: list[str], **_options: object) -> None:
        users.entries.append(entry(command[-1], 999))
        raise subprocess.CalledProcessError(9, command)  # it exists already

    play(0, users)
    monkeypatch.setattr(subprocess, "run", run)
    assert server_user(tmp_path / "new").name == "pgserver"


def test_server_user_of_root_cannot_be_made(
    tmp_path: Path, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that makes no users produces one line that says what else to do."""

    def run(*_args: object, **_options: object) -> None:
        raise FileNotFoundError("useradd")

    play(0, Users())
    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(EmbeddedPostgresError, match=r"another user, or set database\.dsn"):
        server_user(tmp_path / "new")


def search_bits(*directories: Path) -> list[int]:
    """Return whom the modes of directories let through: owners 0o100, groups 0o010, all 0o001."""
    return [stat.S_IMODE(each.stat().st_mode) & 0o111 for each in directories]


def test_let_reach_opens_closed_directories_for_the_user_alone(
    tmp_path: Path, lists: Lists
) -> None:
    """Each closed directory on the way lets the user through, nobody else, and is reported."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    tmp_path.chmod(0o700)
    deep.chmod(0o700)
    deep.parent.chmod(0o711)
    capture = LogCapture()
    STRANGER.let_reach(deep, log=quiet_log(capture))
    assert search_bits(deep, deep.parent, tmp_path) == [0o100, 0o111, 0o100]
    assert may_search(deep, STRANGER.uid, STRANGER.gid)
    assert may_search(tmp_path, STRANGER.uid, STRANGER.gid)
    assert not may_search(tmp_path, STRANGER.uid + 1, STRANGER.gid + 1)
    assert {each["log_level"] for each in capture.entries} == {"info"}
    told = {each["path"] for each in capture.entries}
    assert {str(deep), str(tmp_path)} <= told
    assert str(deep.parent) not in told
    capture.entries.clear()
    STRANGER.let_reach(deep, log=quiet_log(capture))
    assert capture.entries == []
    assert set(lists.lists) == told


def test_let_reach_without_lists_opens_to_all_with_a_warning(tmp_path: Path, lists: Lists) -> None:
    """If a file system has no ACLs, all may pass, and the operator is warned."""
    lists.refusal = errno.ENOTSUP
    data = tmp_path / "closed" / "data"
    data.mkdir(parents=True)
    data.parent.chmod(0o700)
    data.chmod(0o700)
    capture = LogCapture()
    STRANGER.let_reach(data, log=quiet_log(capture))
    assert search_bits(data, data.parent) == [0o101, 0o101]
    levels = {each["path"]: (each["log_level"], each["event"]) for each in capture.entries}
    assert levels[str(data)] == ("info", "search_permission_added")
    assert levels[str(data.parent)] == ("warning", "directory_opened_to_all")


def test_let_reach_of_the_owner(tmp_path: Path, lists: Lists) -> None:
    """An owner that is kept out is let in as owner."""
    status = tmp_path.stat()
    tmp_path.chmod(0o600)
    user = ServerUser("u", status.st_uid, status.st_gid + 1, switch=True)
    user.let_reach(tmp_path, log=quiet_log())
    assert search_bits(tmp_path) == [0o100]
    assert str(tmp_path) not in lists.lists


def test_let_reach_where_it_cannot(
    tmp_path: Path, lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A permission that cannot be added produces one line with the directory."""

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    lists.refusal = errno.ENOTSUP
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "chmod", refuse)
    monkeypatch.setattr(type(tmp_path), "chmod", refuse)
    with pytest.raises(DataDirectoryError, match="Operation not permitted") as caught:
        STRANGER.let_reach(tmp_path, log=quiet_log())
    assert caught.value.path == tmp_path


def test_let_read_opens_a_private_tree(tmp_path: Path) -> None:
    """Files become readable, programs and directories usable; links are left alone."""
    program, data, link = tmp_path / "bin" / "postgres", tmp_path / "data", tmp_path / "link"
    program.parent.mkdir(mode=0o700)
    program.touch(mode=0o700)
    data.touch(mode=0o600)
    link.symlink_to(tmp_path.parent)
    outside = tmp_path.parent.stat().st_mode
    STRANGER.let_read(tmp_path, sample=program, log=quiet_log())
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (program.parent, program, data)]
    assert modes == [0o705, 0o705, 0o604]
    assert tmp_path.parent.stat().st_mode == outside


def test_let_read_leaves_an_open_tree_alone(tmp_path: Path) -> None:
    """If the sample can be run, nothing is changed."""
    sample, other = tmp_path / "sample", tmp_path / "other"
    sample.touch()
    sample.chmod(0o755)
    other.touch()
    other.chmod(0o600)
    STRANGER.let_read(tmp_path, sample=sample, log=quiet_log())
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


def test_own_hands_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files made for the server are given to its user, never through a link."""
    given: list[object] = []

    def chown(*args: object, **options: object) -> None:
        given.append((args, options))

    monkeypatch.setattr(os, "chown", chown)
    STRANGER.own(tmp_path)
    assert given == [((tmp_path, STRANGER_UID, STRANGER_UID), {"follow_symlinks": False})]
