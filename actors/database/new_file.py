"""A file that appears whole or not at all, and stays after a power cut.

It is written beside its place, under a unique name, and locked: an unlocked one was left over by a
process that was killed. A pid would not do: every container has its own.
"""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.database.errors import BackupError
from actors.files import give_to_owner, open_folder, sync_directory

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_ENDING_BYTES = 8
_ENDING_PATTERN = "[0-9a-f]" * 2 * _ENDING_BYTES


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that has no name of its own yet."""

    descriptor: int
    path: Path
    file: Path
    overwrite: bool

    def keep(self) -> None:
        """Make it safe on disk and give it its name.

        Raises:
            BackupError: a file of that name now exists.
        """
        os.fsync(self.descriptor)
        if self.overwrite:
            self.path.replace(self.file)
        else:
            try:
                # Unlike a rename this fails if the name is taken.
                self.file.hardlink_to(self.path)
            except FileExistsError:
                raise _exists(self.file) from None
            self.path.unlink()
        sync_directory(self.file.parent)


@contextmanager
def new_file(file: Path, *, overwrite: bool, for_folder_owner: bool = False) -> Generator[NewFile]:
    """Open a file beside its place, for its owner alone; remove it if it was not kept.

    ``for_folder_owner`` gives a file made by root to the owner of the folder.

    Raises:
        BackupError: a file of that name exists and must not be replaced, or there is no folder.
        OSError: it cannot be created.
    """
    if not file.parent.is_dir():
        raise BackupError(f"{file.parent} is not a folder: create it first")
    if file.exists() and not overwrite:
        raise _exists(file)
    remove_left_over(file.parent, glob.escape(file.name))
    path, descriptor = _open_part(file, for_folder_owner=for_folder_owner)
    try:
        yield NewFile(descriptor, path, file, overwrite)
    except OSError as error:
        # Errors of writes by descriptor carry no file name.
        if error.filename is None:
            raise OSError(error.errno, error.strerror, str(file)) from error
        raise
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            path.unlink()


def _open_part(file: Path, *, for_folder_owner: bool) -> tuple[Path, int]:
    """Create the file that will become this one, and lock it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        path = file.with_name(f".{file.name}.{secrets.token_hex(_ENDING_BYTES)}.part")
        with open_folder(file.parent) as folder:
            descriptor = os.open(path.name, flags, 0o600, dir_fd=folder)
            if for_folder_owner:
                give_to_owner(descriptor, folder)
        # If the file system has no locks, nothing is ever taken for left over.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return path, descriptor
        # A removal of left-over files came before the lock.
        os.close(descriptor)


def remove_left_over(folder: Path, names: str) -> None:
    """Remove what killed processes have left of files, where permitted.

    ``names`` is the pattern of the names that the files would have had.
    """
    for part in folder.glob(f".{names}.{_ENDING_PATTERN}.part"):
        # Another user's, in a folder like /tmp, is not ours to remove, and in nobody's way.
        with suppress(OSError):
            _remove_unlocked(part)


def _remove_unlocked(part: Path) -> None:
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
    finally:
        os.close(descriptor)


def _exists(file: Path) -> BackupError:
    return BackupError(f"{file} exists already; --force replaces it")
