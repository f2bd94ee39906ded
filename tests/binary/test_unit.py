"""The systemd unit, as systemd itself reads it."""

from __future__ import annotations

import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.binary.program import Program

UNIT = Path(__file__).parents[2] / "deploy" / "systemd" / "holdfast.service"
EXPOSURE_MAX = 2.5


@pytest.fixture
def analyze() -> str:
    """Find the checker, if systemd is installed."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd here")
    return found


def test_unit_is_valid(program: Program, tmp_path: Path, analyze: str) -> None:
    """Systemd knows every setting of the unit, and reports nothing about it."""
    unit = tmp_path / "holdfast.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/holdfast", str(program.path)))
    said = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_unit_is_hardened(analyze: str) -> None:
    """The service's exposure is low on systemd's own scale (0 to 10)."""
    threshold = f"--threshold={EXPOSURE_MAX * 10:.0f}"
    command = [analyze, "security", "--offline=true", threshold, str(UNIT)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout[-200:]


def test_unit_waits_for_a_database_that_is_down() -> None:
    """Systemd retries for ever, with a pause between two starts."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read_string(UNIT.read_text())
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit["Service"]["Restart"] == "on-failure"
    assert int(unit["Service"]["RestartSec"]) >= 10


def test_unit_leaves_the_database_to_holdfast() -> None:
    """Only Holdfast is told to stop, and gets longer than its own deadline of 5 s."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read_string(UNIT.read_text())
    assert unit["Service"]["KillMode"] == "mixed"
    assert int(unit["Service"]["TimeoutStopSec"]) > 5
