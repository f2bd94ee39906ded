"""Keys: made once and privately, read strictly, several at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest

from actors.authx import base64url, keys
from actors.authx.keys import (
    KeyRing,
    KeyRingError,
    create_key_file,
    load_or_create_keyring,
    read_keyring,
    rotate_key_file,
)
from actors.authx.refresh import issue_refresh_token, read_refresh_token

if TYPE_CHECKING:
    from pathlib import Path

ONE = "k4.local." + base64url.encode(bytes(range(32)))
TWO = "k4.local." + base64url.encode(bytes(range(1, 33)))


NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
MONTH_S = 30 * 86400


def key_file(tmp_path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Write a key file."""
    path = tmp_path / "keys"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def test_keyring_file_is_made_private_at_first_start_and_kept(tmp_path: Path) -> None:
    """The first start makes a 0600 file whatever the umask; the next one reads the same key."""
    path = tmp_path / "keys"
    before = os.umask(0)
    try:
        first = load_or_create_keyring(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_keyring(path).first.key_id == first.first.key_id
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_keyring_file_is_never_replaced(tmp_path: Path) -> None:
    """If two start at once, the second finds the first one's file and leaves it."""
    path = key_file(tmp_path, ONE)
    assert not create_key_file(path)
    assert path.read_text() == ONE
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_keyring_of_a_lost_race_is_the_winners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that found no file but lost the race to make it uses the winner's keys."""
    path = tmp_path / "keys"
    make = create_key_file

    def lose(wanted: Path) -> bool:
        key_file(tmp_path, ONE)
        return make(wanted)

    monkeypatch.setattr(keys, "create_key_file", lose)
    assert load_or_create_keyring(path).first.key_id == KeyRing.parse(ONE).first.key_id


def test_keyring_file_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    """A missing directory is one clear error with the path."""
    path = tmp_path / "nowhere" / "keys"
    with pytest.raises(KeyRingError, match=r"nowhere/keys: cannot be created: No such file"):
        load_or_create_keyring(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o700, 0o601])
def test_keyring_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Any permission beyond the owner's reading and writing is refused, with the mode."""
    path = key_file(tmp_path, ONE, mode)
    with pytest.raises(KeyRingError, match=f"permissions are {mode:04o}"):
        load_or_create_keyring(path)


def test_keyring_file_may_be_read_only(tmp_path: Path) -> None:
    """Narrower permissions than 0600 are fine."""
    assert len(read_keyring(key_file(tmp_path, ONE, 0o400)).keys) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "there is no key"),
        ("# nothing but words\n\n", "there is no key"),
        (f"# ours, {ONE}\n  # theirs,{TWO}", "there is no key"),
        ("hunter2", "line 1 is not a key"),
        (f"{ONE}\nk4.public.AAAA", "line 2 is not a key"),
        ("k4.local.AAAA", "line 1: a key must have 32 bytes; this one has 3"),
        ("k4.local." + base64url.encode(bytes(33)), "has 33"),
        ("k4.local.", "has 0"),
        (ONE + "=", "line 1 is not a key"),
        (ONE[:-1] + "9", "line 1 is not a key"),  # set trailing bits
        (base64url.encode(bytes(32)), "line 1 is not a key"),
        (f"{ONE}\n\n{TWO}\n{ONE}", "the same key occurs twice"),
        (b"\xff\xfe", "not a text file"),
        (b"#" * 70_000, "larger than"),
    ],
)
def test_keyring_file_that_is_malformed_is_refused(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    """An invalid key is refused with its line, and no key is ever quoted."""
    path = key_file(tmp_path, content)
    with pytest.raises(KeyRingError, match=says) as refusal:
        read_keyring(path)
    assert str(path) in str(refusal.value)
    assert ONE[9:20] not in str(refusal.value)


def test_keyring_place_that_holds_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A directory or a FIFO in the file's place neither passes nor blocks the program."""
    with pytest.raises(KeyRingError, match="not a regular file"):
        read_keyring(tmp_path)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    with pytest.raises(KeyRingError, match="not a regular file"):
        read_keyring(fifo)


def test_keyring_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """A system error is raised as the program's own, with the path."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(KeyRingError, match="loop: Too many levels"):
        read_keyring(loop)


def test_keyring_of_the_environment_needs_no_file(tmp_path: Path) -> None:
    """A given value is used instead of the file, with commas or line ends between keys."""
    path = tmp_path / "keys"
    ring = load_or_create_keyring(path, environment_value=f"{ONE}, {TWO}")
    assert [key.key_id for key in ring.keys] == [
        key.key_id for key in KeyRing.parse(f"{ONE}\n{TWO}\n").keys
    ]
    assert not path.exists()
    with pytest.raises(KeyRingError, match="there is no key"):
        load_or_create_keyring(path, environment_value="")


def test_keyring_finds_own_keys_by_footer_only() -> None:
    """A footer is looked up whole, as spelled; nobody else's is found."""
    ring = KeyRing.parse(f"{ONE}\n{TWO}")
    for key in ring.keys:
        assert ring.find(base64url.encode(key.footer)) is key
        assert ring.find(base64url.encode(key.footer + b" ")) is None
        assert key.footer == b'{"kid":"%s"}' % key.key_id.encode()
        assert key.key_id.startswith("k4.lid.")
    assert ring.find("") is None
    assert KeyRing.generate().find(base64url.encode(ring.first.footer)) is None


def test_keyring_shows_no_secret() -> None:
    """Neither the ring's nor a key's representation contains any of the secret."""
    ring = KeyRing.parse(ONE)
    shown = f"{ring!r} {ring.first!r}"
    assert "refresh" not in shown
    assert repr(ring.first.refresh_secret) not in shown
    assert ONE[9:] not in shown


def test_keyring_rotation_puts_a_new_key_on_top_and_keeps_the_old(tmp_path: Path) -> None:
    """Earlier tokens stay valid; new ones are made with the new key."""
    path = tmp_path / "keys"
    before = load_or_create_keyring(path)
    text, token = issue_refresh_token(before, "01890a5d-ac96-774b-bcce-b302099a8057")
    assert rotate_key_file(path, now=NOW, refresh_s=MONTH_S) == date(2030, 3, 4)
    after = read_keyring(path)
    assert [key.key_id for key in after.keys][1:] == [before.first.key_id]
    assert after.first.key_id != before.first.key_id
    assert read_refresh_token(after, text) == token
    rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    assert [key.key_id for key in read_keyring(path).keys][1:] == [key.key_id for key in after.keys]
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]


def test_keyring_rotation_notes_when_the_old_key_may_go(tmp_path: Path) -> None:
    """The note stands above the key it is about, below the file's own remarks."""
    path = key_file(tmp_path, f"# mine, and not yours\n\n{ONE},{TWO}\n")
    rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    remark, empty, new, note, *old = path.read_text().splitlines()
    assert (remark, empty, old) == ("# mine, and not yours", "", [f"{ONE},{TWO}"])
    assert new.startswith("k4.local.")
    assert note == (
        "# This one was on top until 2030-01-31 12:00 UTC. It may be removed from 2030-03-04 on"
        " if the server was restarted within a day."
    )


@pytest.mark.parametrize("hour", [0, 23])
def test_keyring_rotation_names_a_day_without_tokens_of_the_old_key(
    tmp_path: Path, hour: int
) -> None:
    """Tokens from a server that is restarted a day later expire before the day named."""
    path = key_file(tmp_path, ONE)
    now = NOW.replace(hour=hour, minute=59)
    day = rotate_key_file(path, now=now, refresh_s=MONTH_S)
    last = now + timedelta(days=1, seconds=MONTH_S)
    assert timedelta(0) < datetime.combine(day, time(), UTC) - last <= timedelta(days=1)


def test_keyring_rotation_keeps_permissions_owner_and_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of the old file can read the new one, and a link leads to it as before."""
    path = key_file(tmp_path, ONE, 0o400)
    link = tmp_path / "link"
    link.symlink_to("keys")
    given: list[tuple[int, int, int]] = []

    def fchown(descriptor: int, uid: int, gid: int) -> None:
        given.append((uid, gid, os.fstat(descriptor).st_size))

    owner = path.stat()
    monkeypatch.setattr(os, "geteuid", lambda: owner.st_uid + 1)
    monkeypatch.setattr(os, "fchown", fchown)
    rotate_key_file(link, now=NOW, refresh_s=MONTH_S)
    assert given == [(owner.st_uid, owner.st_gid, 0)]
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert len(read_keyring(path).keys) == 2


def test_keyring_rotation_changes_no_file_that_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder's owner may put a link in the draft's place: the link's target is unchanged."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = key_file(folder, ONE, 0o400)
    other = tmp_path / "other"
    other.write_text("another's")
    other.chmod(0o644)
    changed: list[object] = []
    sync = os.fsync

    def swap(descriptor: int) -> None:
        for draft in folder.glob(".keys.*"):
            draft.unlink()
            draft.symlink_to(other)
        sync(descriptor)

    def chown(path: Path, *_: object, **__: object) -> None:
        changed.append(path)

    def fchown(_descriptor: int, _uid: int, _gid: int) -> None:
        pass

    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    monkeypatch.setattr(os, "fchown", fchown)
    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "fsync", swap)
    rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    assert path.is_symlink()
    assert changed == []
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert other.read_text() == "another's"


def test_keyring_file_may_be_a_link_but_not_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that takes the file's place during rotation is not followed to another's keys."""
    path = key_file(tmp_path, ONE)
    other, link = tmp_path / "other", tmp_path / "link"
    link.symlink_to(path)
    assert read_keyring(link).first.footer == KeyRing.parse(ONE).first.footer
    lock = fcntl.flock

    def swap_and_lock(descriptor: int, operation: int) -> None:
        path.rename(other)
        path.symlink_to(other)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", swap_and_lock)
    with pytest.raises(KeyRingError, match="keys: "):
        rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    assert path.is_symlink()
    assert len(read_keyring(other).keys) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_keyring_rotation_writes_where_it_has_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """A link that takes the folder's place leads the new file nowhere else."""
    folder, moved, other = (tmp_path / name for name in ("folder", "moved", "other"))
    folder.mkdir()
    other.mkdir()
    path = key_file(folder, ONE)
    (other / "keys").write_text("another's")
    lock, make = fcntl.flock, secrets.token_bytes

    def swap() -> None:
        if not moved.exists():
            folder.rename(moved)
            folder.symlink_to(other)

    def swap_and_lock(descriptor: int, operation: int) -> None:
        swap()
        lock(descriptor, operation)

    def swap_and_make(length: int) -> bytes:
        swap()
        return make(length)

    if moment == "before":
        monkeypatch.setattr(fcntl, "flock", swap_and_lock)
    else:
        monkeypatch.setattr(secrets, "token_bytes", swap_and_make)
    rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
    assert [entry.name for entry in other.iterdir()] == ["keys"]
    assert (other / "keys").read_text() == "another's"
    assert [entry.name for entry in moved.iterdir()] == ["keys"]
    assert len(read_keyring(moved / "keys").keys) == 2


def test_keyring_rotations_at_once_lose_no_key(tmp_path: Path) -> None:
    """Each adds its own key."""
    path = key_file(tmp_path, ONE)

    def rotate() -> None:
        rotate_key_file(path, now=NOW, refresh_s=MONTH_S)

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(read_keyring(path).keys) == 9


def test_keyring_rotation_that_fails_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be read, replaced or extended stays as it was, alone in its folder."""

    def refuse(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(FileNotFoundError):
        rotate_key_file(tmp_path / "none" / "keys", now=NOW, refresh_s=MONTH_S)
    (tmp_path / "file").touch()
    with pytest.raises(KeyRingError, match="Not a directory"):
        rotate_key_file(tmp_path / "file" / "keys", now=NOW, refresh_s=MONTH_S)
    (tmp_path / "file").unlink()
    for content, mode, says in (
        ("", 0o600, "there is no key"),
        (ONE, 0o644, "must be 0600"),
        (f"{ONE}\n" + "#" * (64 * 1024 - len(ONE) - 2), 0o600, "no room"),
        (ONE, 0o600, "cannot be replaced: No space left"),
    ):
        path = key_file(tmp_path, content, mode)
        if says.startswith("cannot"):
            monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(KeyRingError, match=says):
            rotate_key_file(path, now=NOW, refresh_s=MONTH_S)
        assert path.read_text() == content
        assert [entry.name for entry in tmp_path.iterdir()] == ["keys"]
