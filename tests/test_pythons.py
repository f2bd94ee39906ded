"""The Python versions that Holdfast runs on: every place that names them agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RANGE = "Python 3.11 to 3.14"


def make(python: str) -> subprocess.CompletedProcess[str]:
    """Ask the Makefile whether it supports a Python."""
    return subprocess.run(
        ["make", "python", f"PYTHON={python}"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/first-world.md"])
def test_pythons_are_named_to_who_reads(name: str) -> None:
    """The pages that explain how to run it name the supported Pythons."""
    assert RANGE in (ROOT / name).read_text(encoding="utf-8")


def test_pythons_are_those_of_the_package() -> None:
    """The package metadata names the same versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = [each for each in project["classifiers"] if re.search(r"Python :: 3\.", each)]
    assert told == [f"Programming Language :: Python :: 3.{minor}" for minor in range(11, 15)]
    assert project["requires-python"] == ">=3.11,<3.15"


def test_pythons_that_will_not_do_are_refused_by_make(tmp_path: Path) -> None:
    """A Python that is too old, too new or missing is refused in one line."""
    other = tmp_path / "python3.99"
    other.write_text(
        f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 99)\nexec(sys.argv[2])\n",
    )
    other.chmod(0o755)
    for python in (str(other), str(tmp_path / "none")):
        refused = make(python)
        assert refused.returncode != 0
        assert f"needs {RANGE}; {python} is none of them" in refused.stderr
    assert make(sys.executable).returncode == 0


def test_python_is_found_wherever_it_lies(tmp_path: Path) -> None:
    """A path with a space reaches every command as one word."""
    python = tmp_path / "my tools" / "python3"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    assert make(str(python)).returncode == 0
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert not re.findall(r'^\t.*[^"]\$\(PYTHON\) \w+/', text, re.MULTILINE)
