"""Which Holdfast this is, to the commit where that is known."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from app import __version__

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def full_version(folder: Traversable | None = None) -> str:
    """Give the version, and the commit that a packed program was built from.

    ``folder`` is where the build writes ``commit.txt``: this package, unless told otherwise.
    """
    file = (folder or resources.files("app")) / "commit.txt"
    if not file.is_file():
        return __version__  # installed, or run from a checkout
    return f"{__version__} commit {file.read_text(encoding='ascii').strip()}"
