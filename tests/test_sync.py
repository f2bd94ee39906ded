"""What setting up ``.venv`` promises: no work done twice, and one line for what is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import ModuleType

SYNC = Path(__file__).resolve().parent.parent / "requirements" / "sync.py"


@pytest.fixture
def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Load the script over an empty project whose installer always succeeds."""
    spec = importlib.util.spec_from_file_location("sync", SYNC)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "requirements").mkdir()
    for name in ("run", "dev"):
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1 \\\n")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "VENV_PYTHON", tmp_path / ".venv" / "bin" / "python")
    return module


@pytest.fixture
def installs(sync: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the slow steps; return the list of those taken."""
    done: list[str] = []

    def create() -> None:
        done.append("create")
        sync.VENV_PYTHON.parent.mkdir(parents=True, exist_ok=True)
        sync.VENV_PYTHON.write_text("")

    def install(arguments: list[str], _total: int) -> None:
        done.append(arguments[-1])

    monkeypatch.setattr(sync, "create", create)
    monkeypatch.setattr(sync, "install", install)
    return done


def test_sync_installs_once(sync: ModuleType, installs: list[str]) -> None:
    """The first call creates everything, the second finds nothing to do."""
    assert sync.main("run") == 0
    assert installs == ["create", "requirements/run.txt", "."]
    assert sync.main("run") == 0
    assert len(installs) == 3


def test_sync_of_the_tests_is_enough_for_a_server(sync: ModuleType, installs: list[str]) -> None:
    """The tests' packages include those of a server, but not the other way round."""
    assert sync.main("dev") == 0
    installs.clear()
    assert sync.main("run") == 0
    assert installs == []


@pytest.mark.parametrize("changed", ["requirements/run.txt", "pyproject.toml"])
def test_sync_installs_again_after_a_change(
    sync: ModuleType, installs: list[str], tmp_path: Path, changed: str
) -> None:
    """A changed lock or project is installed into the existing environment."""
    sync.main("run")
    installs.clear()
    (tmp_path / changed).write_text("another==2 \\\n")
    assert sync.main("run") == 0
    assert installs == ["requirements/run.txt", "."]


def test_sync_starts_anew_for_another_python(
    sync: ModuleType, installs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment belongs to the Python that made it."""
    sync.main("run")
    installs.clear()
    monkeypatch.setattr(sync, "interpreter", lambda: "another")
    sync.main("run")
    assert installs[0] == "create"


def test_sync_goes_on_after_a_failure(
    sync: ModuleType,
    installs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A failed installation prints one line, and the next call retries it."""

    def fail(*_: Any) -> None:
        raise sync.SetupError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(sync, "install", fail)
        assert sync.main("run") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "holdfast: no network"
    assert sync.main("run") == 0
    assert installs == ["create", "requirements/run.txt", "."]


def test_sync_names_a_missing_venv_module(
    sync: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For a Python without venv, as Debian ships it, the error names the package to install."""
    monkeypatch.setattr(importlib.util, "find_spec", dict[str, object]().get)
    assert sync.main("run") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no venv module" in line
    assert "python3-venv" in line


def test_sync_leaves_an_environment_alone_that_is_elsewhere(
    sync: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recreating it would empty it, and it may belong to another checkout."""
    (tmp_path / "other").mkdir()
    kept = tmp_path / "other" / "kept"
    kept.touch()
    sync.VENV.symlink_to(kept.parent)
    assert sync.main("run") == 1
    assert kept.exists()
    assert ".venv is a link to elsewhere" in capsys.readouterr().err


def test_sync_tells_why_an_environment_cannot_be_made(
    sync: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The user reads the last line of venv's output."""
    broken = subprocess.CompletedProcess[str]([], 1, "", "first\nno space left\n")

    def run(*_arguments: Any, **_options: Any) -> subprocess.CompletedProcess[str]:
        return broken

    monkeypatch.setattr(subprocess, "run", run)
    assert sync.main("run") == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "holdfast: cannot create .venv: no space left"


def test_sync_shows_pips_words_only_when_it_fails(
    sync: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Success is silent; a failure shows pip's output and a one-line summary."""
    monkeypatch.setattr(sync, "VENV_PYTHON", Path(sys.executable))
    sync.install(["--dry-run", "--no-index", "pip"], 1)
    assert capsys.readouterr().err == ""
    with pytest.raises(sync.SetupError, match="its last words are above"):
        sync.install(["--no-index", "--no-such-option"], 1)
    assert "no such option" in capsys.readouterr().err
