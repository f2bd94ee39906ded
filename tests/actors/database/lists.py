"""A stand-in for a file system with ACLs, so that no test depends on the one it runs on."""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Lists:
    """The ACLs of files; with a ``refusal`` (an errno) there are none."""

    def __init__(self) -> None:
        self.lists: dict[str, bytes] = {}
        self.refusal: int | None = None

    @classmethod
    def installed(cls, monkeypatch: pytest.MonkeyPatch) -> Lists:
        """Return a stand-in that replaces the system's own."""
        made = cls()
        monkeypatch.setattr(os, "getxattr", made.getxattr)
        monkeypatch.setattr(os, "setxattr", made.setxattr)
        return made

    def getxattr(self, path: Path, name: str) -> bytes:
        """Return a file's list."""
        assert name == "system.posix_acl_access"
        if str(path) not in self.lists:
            raise OSError(self.refusal or errno.ENODATA, "no list")
        return self.lists[str(path)]

    def setxattr(self, path: Path, name: str, data: bytes) -> None:
        """Set a file's list."""
        assert name == "system.posix_acl_access"
        if self.refusal is not None:
            raise OSError(self.refusal, "no lists")
        self.lists[str(path)] = data

    def give(self, path: Path, *entries: tuple[int, int, int]) -> None:
        """Set a file's list from its entries."""
        self.lists[str(path)] = struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", *each) for each in entries
        )

    def of(self, path: Path) -> list[tuple[int, ...]]:
        """Return the entries of a file's list."""
        return list(struct.iter_unpack("<HHI", self.lists[str(path)][4:]))
