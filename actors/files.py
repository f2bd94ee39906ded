"""What makes a file stay after a power cut, and belong to whoever has to use it."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def open_folder(path: Path) -> Generator[int]:
    """Open a folder, so that what happens in it happens there, whatever takes its place.

    Raises:
        OSError: it is no folder, or it cannot be read.
    """
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a folder safe on disk; blocks.

    Raises:
        OSError: it is no folder, or it cannot be synced.
    """
    with open_folder(path) as folder:
        os.fsync(folder)


def make_private_folder(path: Path) -> None:
    """Make a folder for its owner alone if it is not there: the owner of the one that it is in.

    Raises:
        OSError: it cannot be made.
    """
    with open_folder(path.parent) as parent:
        try:
            os.mkdir(path.name, 0o700, dir_fd=parent)
        except FileExistsError:
            return
        # By now a link may be in its place.
        made = os.open(path.name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        try:
            give_to_owner(made, parent)
        finally:
            os.close(made)


def give_to_owner(made: int, folder: int) -> None:
    """Give what root has just made to the owner of the folder that it was made in; both are open.

    Root works on a world of another user at times, whose server has to be able to use what is left.
    """
    owner = os.fstat(folder)
    if os.geteuid() == 0 and owner.st_uid != 0:
        # A file system may know no owners, and let no root be more than others.
        with suppress(OSError):
            os.fchown(made, owner.st_uid, owner.st_gid)
