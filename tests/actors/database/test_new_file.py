"""What a new file promises: it is there whole, or not at all, and replaces nothing by accident."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from actors.database.errors import BackupError
from actors.database.new_file import new_file


def write(file: Path, text: bytes, *, overwrite: bool = False) -> None:
    """Write a file."""
    with new_file(file, overwrite=overwrite) as unfinished:
        os.write(unfinished.descriptor, text)
        assert not file.exists() or file.read_bytes() != text
        unfinished.keep()


@pytest.mark.parametrize("overwrite", [False, True])
def test_new_file_appears_when_it_is_complete(tmp_path: Path, overwrite: bool) -> None:
    """Nothing of the name is there before; afterwards it is its owner's alone, and nothing else."""
    file = tmp_path / "file"
    write(file, b"text", overwrite=overwrite)
    assert file.read_bytes() == b"text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_new_file_replaces_only_when_told(tmp_path: Path) -> None:
    """What is there stays, unless it is to be replaced."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(BackupError, match="is there already; --force replaces it"):
        write(file, b"new")
    assert file.read_bytes() == b"old"
    write(file, b"new", overwrite=True)
    assert file.read_bytes() == b"new"


def test_new_file_does_not_replace_what_came_meanwhile(tmp_path: Path) -> None:
    """Also where somebody else takes the name while the file is being written."""
    file = tmp_path / "file"

    def write_beside() -> None:
        with new_file(file, overwrite=False) as unfinished:
            file.write_bytes(b"theirs")
            unfinished.keep()

    with pytest.raises(BackupError, match="is there already"):
        write_beside()
    assert file.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_new_file_needs_its_folder(tmp_path: Path) -> None:
    """The folder that is not there is named, not the part that nobody has heard of."""
    folder = tmp_path / "no"
    with pytest.raises(BackupError) as refused:
        write(folder / "file", b"text")
    assert str(refused.value) == f"{folder} is no folder: make it first"


def test_new_file_removes_what_a_killed_process_has_left_of_it(tmp_path: Path) -> None:
    """Parts of the same file whose process is gone go; of others, and of the living, none does."""
    with subprocess.Popen(["true"]) as ended:
        pass
    (tmp_path / f".file [a].{ended.pid}.part").write_bytes(b"left over")
    others = {f".file a.{ended.pid}.part", f".file [a].{os.getppid()}.part", ".file [a].x.part"}
    for name in others:
        (tmp_path / name).write_bytes(b"another's")
    write(tmp_path / "file [a]", b"text")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "file [a]"}


def test_new_file_leaves_what_it_may_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another user's killed process has left, as in a sticky folder, keeps nobody from one."""
    with subprocess.Popen(["true"]) as ended:
        pass
    part = tmp_path / f".file.{ended.pid}.part"
    part.write_bytes(b"another user's")
    unlink = Path.unlink

    def unlink_own(path: Path, *, missing_ok: bool = False) -> None:
        if path == part:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_own)
    write(tmp_path / "file", b"text")
    assert {path.name for path in tmp_path.iterdir()} == {part.name, "file"}


def test_new_file_on_a_full_disk_names_it(tmp_path: Path) -> None:
    """The system tells no name for what is written by descriptor."""
    with (
        pytest.raises(OSError, match="No space left") as caught,
        new_file(tmp_path / "file", overwrite=False),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(FileNotFoundError) as missing, new_file(tmp_path / "file", overwrite=False):
        (tmp_path / "other").read_bytes()
    assert missing.value.filename == str(tmp_path / "other")


def test_new_file_that_is_not_kept_is_gone(tmp_path: Path) -> None:
    """Who fails on the way leaves nothing behind."""

    def fail() -> None:
        with new_file(tmp_path / "file", overwrite=False):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert list(tmp_path.iterdir()) == []
