"""Pretends to be root in another user's folder, whichever user runs the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_ANOTHER = 54321


class Given:
    """The owners that root has given files through their descriptors."""

    def __init__(self) -> None:
        self._owners: dict[int, tuple[int, int]] = {}
        self._fchown = os.fchown

    def fchown(self, descriptor: int, uid: int, gid: int) -> None:
        """Record the new owner: without root the real one stays the same."""
        self._owners[os.fstat(descriptor).st_ino] = uid, gid
        self._fchown(descriptor, uid, gid)

    def owner(self, path: Path) -> tuple[int, int] | None:
        """Return the owner and group that a file was given, if any."""
        return self._owners.get(path.stat().st_ino)

    def forget(self) -> None:
        """Forget every owner."""
        self._owners.clear()


def play_root(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Given:
    """Make this process look like root from now on, and the folder another user's."""
    if os.geteuid() == 0:
        os.chown(folder, _ANOTHER, _ANOTHER)
    given = Given()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", given.fchown)
    return given


def owner_of(folder: Path) -> tuple[int, int]:
    """Return the owner and the group of a folder."""
    status = folder.stat()
    return status.st_uid, status.st_gid
