"""What a progress indicator promises: only on a terminal, and gone afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.progress import working

if TYPE_CHECKING:
    import pytest


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that reads standard error is not disturbed."""
    with working("backing up") as progress:
        progress.step("accounts")
    assert capsys.readouterr() == ("", "")


def test_progress_shows_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, standard error names what takes a moment."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with working("setting up"):
        pass
    said = capsys.readouterr()
    assert said.out == ""
    assert "setting up" in said.err


def test_progress_tells_each_step_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer task shows how far it is, with names verbatim."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with working("backing up") as progress:
        progress.step("[ledger] (3 MB)")
    said = capsys.readouterr()
    assert said.out == ""
    assert "backing up: [ledger] (3 MB)" in said.err
