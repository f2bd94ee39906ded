"""Whom the embedded PostgreSQL runs as: it refuses to run as root.

Started by root, the server runs as the owner of its cluster, or as an unprivileged user that is
there or is made. That user must be able to reach the data and the binaries: where a directory on
the way lacks the permission to be searched, that permission alone is added, and logged.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.database.errors import DataDirectoryError, EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

_CANDIDATES = ("pgserver", "postgres")
_NEW_USER = "pgserver"
_MAKE_USER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user of the server process; ``switch`` where that is not the one who starts it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def process_options(self) -> dict[str, Any]:
        """What a child process must be started with to run as this user."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give this user a file or directory that was just made for the server."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def let_reach(self, path: Path, *, log: FilteringBoundLogger) -> None:
        """See to it that this user can search ``path`` and every directory above it.

        Raises:
            DataDirectoryError: the permission is missing and cannot be added.
        """
        for directory in (path, *path.parents) if self.switch else ():
            mode = directory.stat().st_mode
            missing = self._search_bit(directory) & ~mode
            if missing:
                log.info("search_permission_added", path=str(directory), user=self.name)
                _add_permission(directory, missing)

    def let_read(self, tree: Path, *, sample: Path, log: FilteringBoundLogger) -> None:
        """See to it that this user can read, and run, what lies in ``tree``.

        A whole tree is installed alike, so one file, ``sample``, tells whether anything is needed.

        Raises:
            DataDirectoryError: the permission is missing and cannot be added.
        """
        needed = stat.S_IROTH | stat.S_IXOTH
        if not self.switch or sample.stat().st_mode & needed == needed:
            return
        log.info("read_permission_added", path=str(tree), user=self.name)
        for path in _tree(tree):
            runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            _add_permission(path, needed if runnable else stat.S_IROTH)

    def _search_bit(self, directory: Path) -> int:
        status = directory.stat()
        if status.st_uid == self.uid:
            return stat.S_IXUSR
        return stat.S_IXGRP if status.st_gid == self.gid else stat.S_IXOTH


def server_user(cluster: Path) -> ServerUser:
    """Choose whom the server of this cluster runs as.

    Raises:
        DataDirectoryError: the cluster belongs to a user that cannot or must not run it.
        EmbeddedPostgresError: there is no unprivileged user and none can be made.
    """
    owner = cluster.stat().st_uid if cluster.exists() else None
    me = os.geteuid()
    if me != 0:
        if owner not in {None, me}:
            raise DataDirectoryError(cluster, f"it belongs to {_name_of(owner)}, not to you")
        return ServerUser(_name_of(me), me, os.getegid(), switch=False)
    if owner == 0:
        reason = f"it belongs to root, and PostgreSQL refuses that: chown -R {_CANDIDATES[0]}"
        raise DataDirectoryError(cluster, reason)
    entry = _unprivileged() if owner is None else _entry_of(cluster, owner)
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _unprivileged() -> pwd.struct_passwd:
    """Find a user for a new cluster, or make one."""
    for name in _CANDIDATES:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", _NEW_USER]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_MAKE_USER_TIMEOUT_S)  # noqa: S603 - no input of anybody's
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the user {_NEW_USER!r} cannot be made: "
            "run Holdfast as another user, or set database.dsn"
        ) from error
    return pwd.getpwnam(_NEW_USER)


def _entry_of(cluster: Path, uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise DataDirectoryError(cluster, f"it belongs to the unknown user {uid}") from None


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)


def _add_permission(path: Path, bits: int) -> None:
    try:
        path.chmod(path.stat().st_mode | bits)
    except OSError as error:
        raise DataDirectoryError(path, error.strerror or str(error)) from error


def _tree(top: Path) -> Iterator[Path]:
    yield top
    for path in top.rglob("*"):
        if not path.is_symlink():
            yield path
