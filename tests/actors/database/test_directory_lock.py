"""The lock of a data directory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from actors.database.directory_lock import DirectoryLock, is_locked
from actors.database.errors import AlreadyServed, DataDirectoryError
from tests.play_root import owner_of, play_root

if TYPE_CHECKING:
    from pathlib import Path


def test_acquire_excludes_a_second_holder(tmp_path: Path) -> None:
    """A second holder is refused, in one line with the first one's pid, until the release."""
    path = tmp_path / "lock"
    lock = DirectoryLock.acquire(path)
    assert is_locked(path)
    with pytest.raises(AlreadyServed, match=rf"in use by .* \(pid {os.getpid()}\)$"):
        DirectoryLock.acquire(path)
    lock.release()
    assert not is_locked(path)
    DirectoryLock.acquire(path).release()


def test_acquire_names_no_holder_that_has_not_said(tmp_path: Path) -> None:
    """A holder that has not written its pid yet is reported as unknown."""
    path = tmp_path / "lock"
    lock = DirectoryLock.acquire(path)
    path.write_text("")
    with pytest.raises(AlreadyServed, match="pid unknown"):
        DirectoryLock.acquire(path)
    lock.release()


def test_lock_is_not_inherited(tmp_path: Path) -> None:
    """A child process that outlives its parent does not keep the lock."""
    path = tmp_path / "lock"
    lock = DirectoryLock.acquire(path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        lock.release()
        assert not is_locked(path)
        child.kill()


def test_lock_dies_with_its_process(tmp_path: Path) -> None:
    """After a kill -9 the directory is free, and the next holder replaces the dead one's pid."""
    path = tmp_path / "lock"
    program = (
        "import pathlib, sys, time\n"
        "from actors.database.directory_lock import DirectoryLock\n"
        "lock = DirectoryLock.acquire(pathlib.Path(sys.argv[1]))\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyServed, match=rf"pid {holder.pid}\)"):
            DirectoryLock.acquire(path)
        holder.kill()
    DirectoryLock.acquire(path).release()


def test_is_locked_without_a_file(tmp_path: Path) -> None:
    """Without a lock file, nobody holds the lock, and none is made."""
    assert not is_locked(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


def test_acquire_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A path that is not a directory produces one line with that path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match="Not a directory") as caught:
        DirectoryLock.acquire(tmp_path / "file" / "lock")
    assert caught.value.path == tmp_path / "file"


def test_acquire_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the pid cannot be written, the line has the path, and nothing is held."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(DataDirectoryError, match=f"{tmp_path}: No space left on device"):
            DirectoryLock.acquire(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_lock_of_root_is_the_folder_s_owner_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If root is the first to lock another user's folder, its owner can lock it afterwards."""
    given = play_root(monkeypatch, tmp_path)
    DirectoryLock.acquire(tmp_path / "lock").release()
    assert given.owner(tmp_path / "lock") == owner_of(tmp_path)
    given.forget()
    DirectoryLock.acquire(tmp_path / "lock").release()
    assert given.owner(tmp_path / "lock") is None


def test_lock_empties_no_file_that_a_link_leads_to(tmp_path: Path) -> None:
    """The folder's owner may put a link in the lock's place: the link's target is unchanged."""
    (tmp_path / "other").write_text("another's")
    (tmp_path / "lock").symlink_to("other")
    with pytest.raises(DataDirectoryError, match="symbolic link"):
        DirectoryLock.acquire(tmp_path / "lock")
    assert (tmp_path / "other").read_text() == "another's"
