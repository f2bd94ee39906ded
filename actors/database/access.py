"""One user's permission to search a directory: by its mode, or by that user's own ACL entry.

Such an entry (POSIX.1e, which Linux keeps in an extended attribute; see acl(5)) lets that user
through and nobody else, whereas the mode could only let everybody through.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ATTRIBUTE: Final = "system.posix_acl_access"
_VERSION: Final = struct.pack("<I", 2)
_ENTRY: Final = struct.Struct("<HHI")
_NO_ID: Final = 0xFFFFFFFF

# Tags of entries, in the order that the kernel requires (include/uapi/linux/posix_acl.h).
_OWNER, _USER, _OWN_GROUP, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32
_MASKED: Final = frozenset({_USER, _OWN_GROUP, _GROUP})
_SEARCH: Final = 1
_NO_ACL: Final = frozenset({errno.ENODATA, errno.ENOTSUP, errno.ENOSYS})


class Entry(NamedTuple):
    """Whom an entry is about, and what it allows: read 4, write 2, search 1."""

    tag: int
    allowed: int
    id: int = _NO_ID


def may_search(directory: Path, uid: int, gid: int) -> bool:
    """Whether a user of one group may search a directory (the order is that of acl(5))."""
    status = directory.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & stat.S_IXUSR)
    entries = _effective(_read(directory) or _of_mode(status.st_mode))
    own = [each for each in entries if (each.tag, each.id) == (_USER, uid)]
    own_group = gid == status.st_gid
    groups = [
        each
        for each in entries
        if (each.tag == _OWN_GROUP and own_group) or (each.tag, each.id) == (_GROUP, gid)
    ]
    others = [each for each in entries if each.tag == _OTHER]
    return any(each.allowed & _SEARCH for each in own or groups or others)


def let_search(directory: Path, uid: int) -> bool:
    """Let a user search a directory, and change nothing for anybody else.

    Returns False if file system, platform or permissions allow no entry for a single user.
    """
    entries = _effective(_read(directory) or _of_mode(directory.stat().st_mode))
    had = next((each.allowed for each in entries if (each.tag, each.id) == (_USER, uid)), 0)
    kept = [each for each in entries if (each.tag, each.id) != (_USER, uid)]
    kept.append(Entry(_USER, had | _SEARCH, uid))
    mask = 0
    for each in kept:
        mask |= each.allowed if each.tag in _MASKED else 0
    return _write(directory, sorted([*kept, Entry(_MASK, mask)], key=lambda e: (e.tag, e.id)))


def _effective(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries with what the mask leaves of them, and without the mask itself."""
    entries = list(entries)
    mask = next((each.allowed for each in entries if each.tag == _MASK), 7)
    return [
        each._replace(allowed=each.allowed & mask) if each.tag in _MASKED else each
        for each in entries
        if each.tag != _MASK
    ]


def _of_mode(mode: int) -> list[Entry]:
    return [
        Entry(_OWNER, mode >> 6 & 7),
        Entry(_OWN_GROUP, mode >> 3 & 7),
        Entry(_OTHER, mode & 7),
    ]


def _read(directory: Path) -> list[Entry]:
    if sys.platform != "linux":
        return []  # pragma: no cover - another platform
    try:
        data = os.getxattr(directory, _ATTRIBUTE)
    except OSError as error:
        if error.errno in _NO_ACL:
            return []
        raise
    return [Entry(*each) for each in _ENTRY.iter_unpack(data.removeprefix(_VERSION))]


def _write(directory: Path, entries: Iterable[Entry]) -> bool:
    if sys.platform != "linux":
        return False  # pragma: no cover - another platform
    data = _VERSION + b"".join(_ENTRY.pack(*each) for each in entries)
    try:
        os.setxattr(directory, _ATTRIBUTE, data)
    except OSError:
        return False
    return True
