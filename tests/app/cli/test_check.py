"""What ``holdfast check`` promises: it finds what would keep a server from starting."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from app.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the command in the test's own folder, with a free port."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_HTTP__PORT", "0")
    return tmp_path


def refusal() -> str:
    """Run a check that must be refused; return the line."""
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr.removeprefix("holdfast: ")


def test_check_makes_nothing(place: Path) -> None:
    """If all is well it says so, and leaves the folder as it was."""
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "A server could start: tutorial (Homestead).\n"
    assert list(place.iterdir()) == []


def test_check_sees_a_port_in_use(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server has the port; with --port 0 everything else can still be checked."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("HOLDFAST_HTTP__PORT", str(taken.getsockname()[1]))
        assert "Address already in use" in refusal()
        assert CliRunner().invoke(main, ["check", "--port", "0"]).exit_code == 0
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[http]\nprot = 1\n", "config.toml: http.prot: no such key"),
        ('[http]\ntrusted_proxies = "foo"\n', "config.toml: http.trusted_proxies: "),
        ('[http]\ntls_certificate = "c"\ntls_key = "k"\n', "config.toml: http.tls_certificate: "),
        ('[world]\nruleset = "nowhere"\n', "nowhere: "),
        ('[auth]\nkey_file = "config.toml"\n', "key file config.toml: "),
        ('[database]\ndsn = "localhost/world"\n', "database.dsn is malformed: "),
        ('[database]\ndsn = "postgresql://a:b/c@d/e"\n', "database.dsn is malformed: "),
    ],
)
def test_check_finds_what_a_start_would_fail_for(place: Path, text: str, told: str) -> None:
    """Each fault is the line with which serve would end."""
    (place / "config.toml").write_text(text)
    assert refusal().startswith(told)
    assert [path.name for path in place.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("file", ["config.toml", "rules.toml"])
def test_check_writes_nothing_that_a_terminal_obeys(place: Path, file: str) -> None:
    """A key in a file may contain anything: control characters are escaped."""
    (place / "config.toml").write_text('[world]\nruleset = "rules.toml"\n')
    (place / file).write_text('"a\\u001b]0;owned\\u0007" = 1\n')
    line = refusal().removesuffix("\n")
    assert line.isprintable()
    assert r"a\x1b]0;owned\x07" in line


def test_check_looks_for_what_traces_need(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing packages are reported now, before the server needs them."""
    (place / "config.toml").write_text('[tracing]\nendpoint = "http://127.0.0.1:9/v1/traces"\n')
    monkeypatch.setitem(sys.modules, "app.otel", None)
    assert "traces need more packages" in refusal()
