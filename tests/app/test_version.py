"""How the program identifies itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app import __version__
from app.version import full_version

if TYPE_CHECKING:
    from pathlib import Path


def test_version_names_the_commit_of_a_packed_program(tmp_path: Path) -> None:
    """The commit that the build wrote beside the package is shown with the version."""
    (tmp_path / "commit.txt").write_text("0123456789ab\n", encoding="ascii")
    assert full_version(tmp_path) == f"{__version__} commit 0123456789ab"


def test_version_names_no_commit_where_none_is_known(tmp_path: Path) -> None:
    """Installed or run from a checkout, the version stands alone."""
    assert full_version(tmp_path) == __version__
