"""Key files are written beside their place: what is there afterwards, and who owns it."""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from actors.authx import keys
from actors.authx.keys import (
    KeyRingError,
    create_key_file,
    load_or_create_keyring,
    read_keyring,
    rotate_key_file,
)
from actors.files import open_folder
from tests.play_root import owner_of, play_root

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MONTH_S = 30 * 86400

_KILLED = """
import os, pathlib, signal, sys
from datetime import UTC, datetime
from actors.authx import keys
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
path = pathlib.Path(sys.argv[1])
if path.exists():
    keys.rotate_key_file(path, now=datetime.now(UTC), refresh_s=1)
keys.create_key_file(path)
"""


def leave_draft(path: Path) -> None:
    """Have a process killed while it makes or rotates a key file, before it has its name."""
    before = set(path.parent.iterdir())
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (draft,) = set(path.parent.iterdir()) - before
    assert "k4.local." in draft.read_text()


@pytest.mark.parametrize("made", [False, True])
def test_keyring_leaves_no_keys_of_a_killed_process(tmp_path: Path, made: bool) -> None:
    """Leftovers of a killed start or rotation go with the next one, and nothing else does."""
    path = tmp_path / "keys"
    if made:
        create_key_file(path)
    leave_draft(path)
    others = {f".keys.{'0' * 15}", f".keys.{'0' * 16}.bak", f".other.{'0' * 16}", "keys.old"}
    for name in others:
        (tmp_path / name).write_text("another's")
    (tmp_path / f".keys.{'1' * 16}").mkdir()
    (tmp_path / f".keys.{'2' * 16}").symlink_to("keys.old")
    others |= {f".keys.{'1' * 16}", f".keys.{'2' * 16}"}
    if made:
        rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    else:
        load_or_create_keyring(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {*others, "keys"}
    assert len(read_keyring(path).keys) == 1 + made


def test_keyring_of_root_belongs_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If root makes it, the server of the folder's owner can read it."""
    given = play_root(monkeypatch, tmp_path)
    create_key_file(tmp_path / "keys")
    assert given.owner(tmp_path / "keys") == owner_of(tmp_path)


def test_folder_that_somebody_holds_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose folder is locked gets an error instead of waiting forever."""
    monkeypatch.setattr(keys, "_PATIENCE_S", 0.05)
    with open_folder(tmp_path) as folder:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(KeyRingError, match="another process holds a lock on the folder"):
            create_key_file(tmp_path / "token.key")
    assert create_key_file(tmp_path / "token.key")
