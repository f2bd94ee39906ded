"""The lock of a data directory: one process at a time, released by its death."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from actors.database.errors import AlreadyServed, DataDirectoryError
from actors.files import give_to_owner, open_folder

if TYPE_CHECKING:
    from pathlib import Path


class DirectoryLock:
    """An exclusive lock on a data directory, held until `release` or the end of the process.

    The lock belongs to the open file, which is closed in child processes: it does not outlive
    the process and, unlike a pid file, means nothing after a ``kill -9``.
    """

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> DirectoryLock:
        """Take the lock in the file ``path``, created if missing, for the folder's owner.

        Raises:
            AlreadyServed: another process holds it; the message names its pid.
            DataDirectoryError: the file cannot be created, opened or written.
        """
        try:
            descriptor = _open(path)
        except OSError as error:
            raise DataDirectoryError(path.parent, error.strerror or str(error)) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise AlreadyServed(
                f"the data directory {path.parent} is in use by another Holdfast process"
                f" (pid {holder or 'unknown'})"
            ) from None
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            # For example, the disk is full.
            os.close(descriptor)
            raise DataDirectoryError(path.parent, error.strerror or str(error)) from error
        return cls(descriptor)

    def release(self) -> None:
        """Release the lock; the file stays, empty."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def _open(path: Path) -> int:
    # The folder's owner could lead root to any file, which would be emptied.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with open_folder(path.parent) as folder:
        try:
            made = os.open(path.name, flags | os.O_EXCL, 0o600, dir_fd=folder)
        except FileExistsError:
            return os.open(path.name, flags, 0o600, dir_fd=folder)
        give_to_owner(made, folder)
        return made


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock in the file ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
