"""Files and folders that survive a power cut, and belong to the user who has to use them."""

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
    """Open a folder, so that operations in it happen there even if its path is replaced.

    Raises:
        OSError: it is not a folder, or it cannot be read.
    """
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in a folder safe on disk; blocks.

    Raises:
        OSError: it is not a folder, or it cannot be synced.
    """
    with open_folder(path) as folder:
        os.fsync(folder)


def make_private_folder(path: Path) -> None:
    """Create a private folder if it is missing, for the owner of the folder that it is in.

    Raises:
        OSError: it cannot be created.
    """
    with open_folder(path.parent) as parent:
        try:
            os.mkdir(path.name, 0o700, dir_fd=parent)
        except FileExistsError:
            return
        # By now a link may have taken its place.
        made = os.open(path.name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
        try:
            give_to_owner(made, parent)
        finally:
            os.close(made)


def give_to_owner(made: int, folder: int) -> None:
    """Give what root has just created to the owner of the folder around it; both are open.

    Root sometimes works on another user's world, whose server must be able to use what is left.
    """
    owner = os.fstat(folder)
    if os.geteuid() == 0 and owner.st_uid != 0:
        # A file system may have no owners, and give root no more rights than others.
        with suppress(OSError):
            os.fchown(made, owner.st_uid, owner.st_gid)
