"""Make one file of the collected program: launcher, index, contents, trailer (``launcher.c``).

Run as ``python packaging/pack.py COLLECTED LAUNCHER TARGET`` in the build environment.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import sys
import zlib
from pathlib import Path
from typing import Final

import lz4.block

MAGIC: Final = b"HOLDFAST"
KEY_CHARACTERS: Final = 32
_ENTRY: Final = struct.Struct("<IIQQI")
_TRAILER: Final = struct.Struct(f"<8sQQ{KEY_CHARACTERS}s")


def pack(collected: Path, launcher: Path, target: Path) -> None:
    """Write ``target`` as an executable, replacing any old one atomically."""
    # Folders come before their contents.
    entries = [_entry(path, collected) for path in sorted(collected.rglob("*"))]
    index = b"".join(entry for entry, _ in entries)
    key = hashlib.sha256(index)
    start = launcher.stat().st_size
    unfinished = target.with_name(f".{target.name}.new")
    with unfinished.open("wb") as out:
        out.write(launcher.read_bytes())
        out.write(index)
        for _, packed in entries:
            key.update(packed)
            out.write(packed)
        name = key.hexdigest()[:KEY_CHARACTERS].encode()
        out.write(_TRAILER.pack(MAGIC, start, len(index), name))
    unfinished.chmod(0o755)
    unfinished.replace(target)


def _entry(path: Path, collected: Path) -> tuple[bytes, bytes]:
    """Return the index entry and the packed content of a folder, file or link."""
    mode = path.lstat().st_mode
    name = os.fsencode(path.relative_to(collected))
    if stat.S_ISLNK(mode):
        content = os.fsencode(path.readlink())
    else:
        content = path.read_bytes() if stat.S_ISREG(mode) else b""
    packed = _compress(content)
    # Any user who may run the file may run its contents; no user may change them.
    permissions = 0o755 if mode & stat.S_IXUSR else 0o644
    sizes = (len(name), len(content), len(packed))
    entry = _ENTRY.pack(stat.S_IFMT(mode) | permissions, *sizes, zlib.adler32(content))
    return entry + name, packed


def _compress(content: bytes) -> bytes:
    """Compress as one LZ4 block; content that does not shrink stays as it is."""
    packed: bytes = lz4.block.compress(
        content, mode="high_compression", compression=12, store_size=False
    )
    return packed if len(packed) < len(content) else content


if __name__ == "__main__":
    pack(*map(Path, sys.argv[1:4]))
