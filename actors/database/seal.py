"""A digest at the end of a file, which distinguishes a whole file from a damaged one.

``pg_dump``'s format protects the rows by a checksum, but neither the schema nor its own end.
``pg_restore`` does not read beyond that end, so it can still read a sealed backup.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_FORM: Final = re.compile(rb"\nholdfast-backup sha256 ([0-9a-f]{64})\n")
_LENGTH: Final = len(b"\nholdfast-backup sha256 \n") + 64
_PIECE_BYTES: Final = 1 << 20


def seal(descriptor: int) -> None:
    """Append the digest of what a file holds so far."""
    length = os.fstat(descriptor).st_size
    text = b"\nholdfast-backup sha256 %s\n" % _digest(descriptor, length)
    if os.pwrite(descriptor, text, length) != len(text):
        raise OSError("the end of the backup was only partly written")


def is_whole(file: Path) -> bool:
    """Whether a file is as it was when it was sealed; raises `OSError`."""
    with file.open("rb") as opened:
        descriptor = opened.fileno()
        length = os.fstat(descriptor).st_size - _LENGTH
        if length < 0:
            return False
        found = _FORM.fullmatch(os.pread(descriptor, _LENGTH, length))
        return found is not None and found[1] == _digest(descriptor, length)


def _digest(descriptor: int, length: int) -> bytes:
    digest = hashlib.sha256()
    for offset in range(0, length, _PIECE_BYTES):
        digest.update(os.pread(descriptor, min(_PIECE_BYTES, length - offset), offset))
    return digest.hexdigest().encode()
