"""What reading the configuration for a command promises, wherever it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.options import read_config
from app.config import Config, ConfigError


def test_options_say_where_a_file_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that may not be entered, the line names that folder."""

    def denied(_: Path) -> None:
        raise PermissionError(13, "Permission denied", "config.toml")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(ConfigError) as caught:
        read_config(None)
    assert str(caught.value) == f"{tmp_path}/config.toml: cannot be read: Permission denied"


def test_options_tell_of_variables_that_set_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt setting that may be another program's variable is reported, not refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_PORT", "1")
    assert read_config(None).http.port == Config().http.port
    assert capsys.readouterr().err == (
        "holdfast: not a setting, ignored: HOLDFAST_PORT (did you mean HOLDFAST_HTTP__PORT?)\n"
    )
