"""What ``holdfast init`` promises: it makes what is missing, tells it, and changes nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli import main
from app.config import render_config
from tests.postgres import reachable_directory


def initialise(**environ: str) -> tuple[int, str, str]:
    """Run the command here; give status, output and complaint."""
    result = CliRunner(env=environ).invoke(main, ["init"])
    return result.exit_code, result.stdout, result.stderr


def told(output: str) -> dict[str, str]:
    """Read what was made and what was found: by thing."""
    lines = [line for line in output.splitlines() if line[:5] in {"made ", "found"}]
    return {line[9:23].strip(): line[:8].strip() for line in lines}


def test_init_makes_everything_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder all is made; the second time all is found and nothing changes."""
    with reachable_directory() as folder:
        monkeypatch.chdir(folder)
        status, output, complaint = initialise()
        assert (status, complaint) == (0, "")
        for thing in ("configuration", "token key", "database"):
            assert told(output)[thing] == "made"
        assert Path("config.toml").read_text() == render_config()
        assert stat.S_IMODE(Path("var/token.key").stat().st_mode) == 0o600
        key = Path("var/token.key").read_bytes()

        status, output, complaint = initialise()
        assert (status, complaint) == (0, "")
        for thing in ("configuration", "data directory", "token key", "database"):
            assert told(output)[thing] == "found"
        assert Path("var/token.key").read_bytes() == key


def test_init_leaves_a_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """A file that is there is used as it is: its database, its place for the key."""
    monkeypatch.chdir(tmp_path)
    text = f'[database]\ndsn = "{database_dsn}"\n[auth]\nkey_file = "keys/mine"\n'
    Path("config.toml").write_text(text)
    status, output, _ = initialise()
    assert status == 0
    assert told(output)["database"] == "found"
    assert Path("config.toml").read_text() == text
    assert Path("keys/mine").exists()


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("HOLDFAST_WORLD__RULESET", "none.toml", "holdfast: none.toml: "),
        ("HOLDFAST_DATABASE__DSN", "postgresql://127.0.0.1:1/none", "holdfast: "),
        ("HOLDFAST_AUTH__KEY", "nonsense", "holdfast: "),
        ("HOLDFAST_STORAGE__DATA_DIR", "config.toml/x", "holdfast: config.toml/x: Not a directory"),
    ],
)
def test_init_tells_in_one_line_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    """What a server could not start with is found beforehand."""
    monkeypatch.chdir(tmp_path)
    status, _, said = initialise(**{variable: value})
    assert status == 1
    assert said.startswith(complaint)
    assert said.count("\n") == 1


def test_init_takes_a_key_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_dsn: str
) -> None:
    """With the key in the environment no file is made for it, and it is not told."""
    monkeypatch.chdir(tmp_path)
    key = "k4.local." + "A" * 43
    status, output, _ = initialise(HOLDFAST_AUTH__KEY=key, HOLDFAST_DATABASE__DSN=database_dsn)
    assert status == 0
    assert "token key      in the environment" in output
    assert key not in output
    assert not Path("var/token.key").exists()
