"""What ``holdfast keys rotate`` promises: a new key, and nobody has to log in again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from actors.authx.keys import KeyRing, create_key_file, read_keyring
from app.cli import main
from tests.app.cli.support import run_unheard


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run the command in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keys_rotate_keeps_the_old_key_and_tells_until_when(place: Path) -> None:
    """The configured file has one more key, and the output says what to do."""
    (place / "config.toml").write_text('[auth]\nkey_file = "own.key"\nrefresh_seconds = 1000\n')
    key_file = place / "own.key"
    create_key_file(key_file)
    old = read_keyring(key_file).first
    result = CliRunner().invoke(main, ["keys", "rotate"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("made     token key      own.key\n")
    [day] = re.findall(r"from (\d{4}-\d\d-\d\d) on", result.stdout)
    assert f"removed from {day} on if the server was restarted within a day" in (
        key_file.read_text()
    )
    assert "Restart the server within a day" in result.stdout
    assert [key.key_id for key in read_keyring(key_file).keys][1:] == [old.key_id]
    assert not re.search(r"k4\.local\.", result.output)


def test_keys_rotate_needs_a_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no key yet, or it is in the environment, the command says what to do instead."""
    result = CliRunner().invoke(main, ["keys", "rotate"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        result.stderr
        == "holdfast: there is no token key var/token.key yet: holdfast init creates one\n"
    )
    assert list(place.iterdir()) == []
    create_key_file(place / "key")
    text = (place / "key").read_text().splitlines()[-1]
    assert len(KeyRing.parse(text).keys) == 1
    monkeypatch.setenv("HOLDFAST_AUTH__KEY", text)
    result = CliRunner().invoke(main, ["keys", "rotate"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "HOLDFAST_AUTH__KEY, separated by a comma" in result.stderr
    assert text not in result.stderr


def test_keys_rotate_says_what_is_done_where_it_cannot_be_told(place: Path) -> None:
    """Repeating it because of a full disk would add another key each time."""
    create_key_file(place / "own.key")
    with Path("/dev/full").open("w") as full:
        told = run_unheard("keys", "rotate", cwd=place, out=full, HOLDFAST_AUTH__KEY_FILE="own.key")
    assert told.status == 1
    assert told.complaint == (
        "holdfast: made token key own.key, but standard output cannot be written:"
        " No space left on device"
    )
    assert len(read_keyring(place / "own.key").keys) == 2
