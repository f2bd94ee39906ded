"""The user that the embedded PostgreSQL, which refuses to run as root, runs as.

Started by root, the server runs as the owner of its cluster. A new cluster is given to a dedicated
user, created if missing; if none can be created, to the one that another PostgreSQL on the system
may run as. That user must be able to reach the data and the binaries: if a directory on the way
lacks search permission, that permission alone is added, for that user alone, and logged. A file
system without permissions for single users can only give it to everybody: the log then has a
warning.
"""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.database.access import let_search, may_search
from actors.database.errors import DataDirectoryError, EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

_OWN_USER = "pgserver"
_SHARED_USER = "postgres"
_MAKE_USER_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user of the server process; ``switch`` if it is not the user that starts it."""

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def process_options(self) -> dict[str, Any]:
        """The options that make a child process run as this user."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give this user a file or directory just made for the server."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def let_reach(self, path: Path, *, log: FilteringBoundLogger) -> None:
        """Ensure that this user can search ``path`` and every directory above it.

        Raises:
            DataDirectoryError: the permission is missing and cannot be added.
        """
        for directory in (path, *path.parents) if self.switch else ():
            if may_search(directory, self.uid, self.gid):
                continue
            # The owner of a directory cannot search it by a single user's entry.
            owned = directory.stat().st_uid == self.uid
            if not owned and let_search(directory, self.uid):
                log.info("search_permission_added", path=str(directory), user=self.name)
                continue
            _add_permission(directory, stat.S_IXUSR if owned else stat.S_IXOTH)
            if owned or directory == path:
                log.info("search_permission_added", path=str(directory), user=self.name)
            else:
                log.warning("directory_opened_to_all", path=str(directory), user=self.name)

    def let_read(self, tree: Path, *, sample: Path, log: FilteringBoundLogger) -> None:
        """Ensure that this user can read and run the contents of ``tree``.

        A tree is installed uniformly, so one file, ``sample``, shows whether anything is needed.

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


def server_user(cluster: Path) -> ServerUser:
    """Choose the user that the server of this cluster runs as.

    Raises:
        DataDirectoryError: the cluster belongs to a user that cannot or must not run it.
        EmbeddedPostgresError: no unprivileged user exists or can be created, or the user that
            creates a new cluster has no name, as in containers run under an arbitrary id.
    """
    owner = cluster.stat().st_uid if cluster.exists() else None
    me = os.geteuid()
    if me != 0:
        if owner not in {None, me}:
            raise DataDirectoryError(cluster, f"it belongs to {_name_of(owner)}, not to you")
        if owner is None and not _has_name(me):
            raise EmbeddedPostgresError(
                f"user {me} cannot create a PostgreSQL cluster without a name in /etc/passwd: "
                "add an entry there, run Holdfast as another user, or set database.dsn"
            )
        return ServerUser(_name_of(me), me, os.getegid(), switch=False)
    if owner == 0:
        reason = f"it belongs to root, which PostgreSQL refuses: chown -R {_OWN_USER}"
        raise DataDirectoryError(cluster, reason)
    entry = _unprivileged() if owner is None else _entry_of(cluster, owner)
    return ServerUser(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)


def _unprivileged() -> pwd.struct_passwd:
    """Find or create the user for a new cluster."""
    found = _find(_OWN_USER)
    if found is not None:
        return found
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", _OWN_USER]
    failure: Exception | None = None
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_MAKE_USER_TIMEOUT_S)  # noqa: S603 - no outside input
    except (OSError, subprocess.SubprocessError) as error:
        failure = error
    # Another process may have created it meanwhile.
    found = _find(_OWN_USER) or _find(_SHARED_USER)
    if found is None:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, and the user {_OWN_USER!r} cannot be created: run "
            "Holdfast as another user, or set database.dsn"
        ) from failure
    return found


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _entry_of(cluster: Path, uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise DataDirectoryError(cluster, f"it belongs to the unknown user {uid}") from None


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


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
