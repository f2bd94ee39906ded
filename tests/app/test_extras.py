"""What messages say about missing packages: the names that the project itself requires."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from app.extras import CHARTS, OTEL, way_to

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OF_THE_INDEX = re.compile(r"pip install [^`\n]*\bholdfast\b")


@pytest.mark.parametrize(("extra", "packages"), [("charts", CHARTS), ("otel", OTEL)])
def test_extras_are_those_of_the_project(extra: str, packages: tuple[str, ...]) -> None:
    """The packages that a message names are those of the extra of that name."""
    assert list(packages) == PROJECT["optional-dependencies"][extra]
    assert way_to(packages) == "pip install " + " ".join(f"'{each}'" for each in packages)


def test_extras_cannot_come_into_the_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A packed program suggests no command that would change nothing."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "pip" not in way_to(CHARTS)
    assert "one-file program" in way_to(CHARTS)


def test_nothing_installs_holdfast_from_the_index() -> None:
    """Another project has the name there, so no page and no message asks for it."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "app").rglob("*.py")]
    assert [str(text) for text in texts if OF_THE_INDEX.search(text.read_text())] == []
