"""The version of Holdfast, with the commit where it is known."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from app import __version__

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def full_version(folder: Traversable | None = None) -> str:
    """Return the version, and the commit that a packed program was built from.

    ``folder`` is where the build writes ``commit.txt``; by default this package.
    """
    file = (folder or resources.files("app")) / "commit.txt"
    if not file.is_file():
        return __version__  # installed, or run from a checkout
    return f"{__version__} commit {file.read_text(encoding='ascii').strip()}"
