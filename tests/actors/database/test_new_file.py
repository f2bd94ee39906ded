"""What a new file promises: it is complete or absent, and replaces nothing by accident."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
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
    """Nothing has the name before; afterwards the file is private to its owner, and alone."""
    file = tmp_path / "file"
    write(file, b"text", overwrite=overwrite)
    assert file.read_bytes() == b"text"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_new_file_replaces_only_when_told(tmp_path: Path) -> None:
    """An existing file stays, unless it is to be replaced."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(BackupError, match="exists already; --force replaces it"):
        write(file, b"new")
    assert file.read_bytes() == b"old"
    write(file, b"new", overwrite=True)
    assert file.read_bytes() == b"new"


def test_new_file_does_not_replace_what_came_meanwhile(tmp_path: Path) -> None:
    """This holds even if somebody else takes the name while the file is being written."""
    file = tmp_path / "file"

    def write_beside() -> None:
        with new_file(file, overwrite=False) as unfinished:
            file.write_bytes(b"theirs")
            unfinished.keep()

    with pytest.raises(BackupError, match="exists already"):
        write_beside()
    assert file.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_new_file_needs_its_folder(tmp_path: Path) -> None:
    """The error names the missing folder, not the temporary file, which means nothing to a user."""
    folder = tmp_path / "no"
    with pytest.raises(BackupError) as refused:
        write(folder / "file", b"text")
    assert str(refused.value) == f"{folder} is not a folder: create it first"


def test_new_file_of_two_at_once_is_of_one_of_them(tmp_path: Path) -> None:
    """Each writes a file of its own, even if both have the same pid, as in containers."""
    file = tmp_path / "file"
    with new_file(file, overwrite=True) as one, new_file(file, overwrite=True) as two:
        os.write(one.descriptor, b"one's")
        os.write(two.descriptor, b"of two")
        one.keep()
        assert file.read_bytes() == b"one's"
        two.keep()
        assert file.read_bytes() == b"of two"
    assert list(tmp_path.iterdir()) == [file]


_KILLED = """
import os, pathlib, signal, sys
from actors.database.new_file import new_file
with new_file(pathlib.Path(sys.argv[1]), overwrite=True) as unfinished:
    os.write(unfinished.descriptor, b"left over")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave(file: Path) -> Path:
    """Have a process killed while it writes a file; return what it leaves."""
    before = set(file.parent.iterdir())
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(file)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (part,) = set(file.parent.iterdir()) - before
    return part


def test_new_file_removes_what_a_killed_process_has_left_of_it(tmp_path: Path) -> None:
    """Abandoned parts of the same file go; parts of others, and of live writers, stay."""
    leave(tmp_path / "file [a]")
    others = {leave(tmp_path / "file a").name, ".file [a].x.part", f".file [a].{'0' * 16}.part"}
    (tmp_path / ".file [a].x.part").write_bytes(b"another's")
    (tmp_path / f".file [a].{'0' * 16}.part").mkdir()
    with new_file(tmp_path / "file [a]", overwrite=False) as living:
        others.add(living.path.name)
        write(tmp_path / "file [a]", b"text")
        assert {path.name for path in tmp_path.iterdir()} == {*others, "file [a]"}


def test_new_file_is_not_held_up_by_what_is_no_file(tmp_path: Path) -> None:
    """A pipe or a link in the place of a part stays, and nothing waits for it."""
    (tmp_path / "elsewhere").write_bytes(b"another's")
    (tmp_path / f".file.{'1' * 16}.part").symlink_to("elsewhere")
    os.mkfifo(tmp_path / f".file.{'2' * 16}.part")
    before = set(tmp_path.iterdir())
    write(tmp_path / "file", b"text")
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "file"}


def test_new_file_that_was_taken_for_left_over_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another process removes the new part before it is locked, a new one is made."""
    lock = fcntl.flock
    made: list[Path] = []

    def remove_and_lock(descriptor: int, operation: int) -> None:
        if not made:
            made.extend(tmp_path.iterdir())
            made[0].unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    write(tmp_path / "file", b"text")
    assert [path.suffix for path in made] == [".part"]
    assert (tmp_path / "file").read_bytes() == b"text"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_new_file_where_nothing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file can be made on a file system without locks; leftovers stay there."""

    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    part = leave(tmp_path / "file")
    monkeypatch.setattr(fcntl, "flock", refuse)
    write(tmp_path / "file", b"text")
    assert set(tmp_path.iterdir()) == {part, tmp_path / "file"}


def test_new_file_leaves_what_it_may_not_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leftovers of another user's killed process, as in a sticky folder, block no new file."""
    part = leave(tmp_path / "file")
    unlink = Path.unlink

    def unlink_own(path: Path, *, missing_ok: bool = False) -> None:
        if path == part:
            raise PermissionError(errno.EPERM, "Operation not permitted", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_own)
    write(tmp_path / "file", b"text")
    assert set(tmp_path.iterdir()) == {part, tmp_path / "file"}


def test_new_file_on_a_full_disk_names_it(tmp_path: Path) -> None:
    """The system's errors name no file for writes by descriptor."""
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
    """A write that fails midway leaves nothing behind."""

    def fail() -> None:
        with new_file(tmp_path / "file", overwrite=False):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert list(tmp_path.iterdir()) == []
