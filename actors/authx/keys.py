"""The keys for making tokens: a ring of v4.local keys, in a file or in the environment.

The text has one key per line in PASERK form (``k4.local.`` and 32 bytes in base64url); empty
lines and lines that begin with ``#`` are skipped. The first key makes new tokens, all of them
verify: to rotate, put a new key on top (`rotate_key_file`), and remove the old one when its tokens
have expired (access tokens after ``token_seconds``, refresh tokens not used since after
``refresh_seconds``). Removing a key at once invalidates everything made with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import pyseto

from actors.authx import base64url
from actors.files import give_to_owner, open_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import date, datetime
    from pathlib import Path

KEY_BYTES = 32
_PASERK_PREFIX = "k4.local."
_FILE_BYTES_MAX = 64 * 1024
_WIDER_THAN_0600 = 0o177
_DRAFT_BYTES = 8
_PATIENCE_S = 5.0
_POLL_S = 0.02
_UNTIL_RESTARTED = timedelta(days=1)
"""How long after a rotation a server may continue making tokens with the previous top key."""

_HEADER = """\
# Holdfast's token keys. Anyone who reads them can act as any account: keep this file private.
# The first key makes new tokens; all of them verify.
"""


class KeyRingError(Exception):
    """The keys cannot be used; the message says why and never contains any part of a key."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One v4.local key with the values derived from it."""

    key_id: str
    footer: bytes
    local: pyseto.KeyInterface = field(repr=False)
    refresh_secret: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, secret: bytes) -> TokenKey:
        """Make a key of 32 secret bytes.

        Raises:
            KeyRingError: it has another length.
        """
        if len(secret) != KEY_BYTES:
            raise KeyRingError(f"a key must have {KEY_BYTES} bytes; this one has {len(secret)}")
        local = pyseto.Key.new(4, "local", secret)
        key_id = local.to_paserk_id()
        return cls(
            key_id=key_id,
            footer=json.dumps({"kid": key_id}, separators=(",", ":")).encode(),
            local=local,
            refresh_secret=blake2b(key=secret, person=b"hf-refresh-token", digest_size=32).digest(),
        )


class KeyRing:
    """Keys in order: the first one makes tokens, all of them verify."""

    __slots__ = ("_by_footer", "keys")

    def __init__(self, keys: tuple[TokenKey, ...]) -> None:
        if not keys:
            raise KeyRingError("there is no key")
        self.keys = keys
        self._by_footer = {base64url.encode(key.footer): key for key in keys}
        if len(self._by_footer) < len(keys):
            raise KeyRingError("the same key occurs twice")

    @property
    def first(self) -> TokenKey:
        """The key that makes new tokens."""
        return self.keys[0]

    def find(self, footer_text: str) -> TokenKey | None:
        """Look up a key by a token's whole footer, as spelled; None if no key of ours has it."""
        return self._by_footer.get(footer_text)

    @classmethod
    def generate(cls) -> KeyRing:
        """Create a ring of one new random key."""
        return cls((TokenKey.from_bytes(secrets.token_bytes(KEY_BYTES)),))

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read a ring from a key file's text; commas may replace line ends.

        A line that begins with ``#`` is skipped whole, including any commas in it.

        Raises:
            KeyRingError: a line is not a key, a key occurs twice, or there is none.
        """
        return cls(
            tuple(
                _parse_key(part.strip(), number)
                for number, line in enumerate(text.splitlines(), start=1)
                if _has_key(line)
                for part in line.split(",")
                if _has_key(part)
            )
        )


def load_or_create_keyring(path: Path, *, environment_value: str | None = None) -> KeyRing:
    """Return the ring of the environment's value, else of the file, created if it is missing.

    Blocking file I/O: for the start of the program.

    Raises:
        KeyRingError: the value or the file is not usable, or the file cannot be made.
    """
    if environment_value is not None:
        return KeyRing.parse(environment_value)
    try:
        return read_keyring(path)
    except FileNotFoundError:
        create_key_file(path)
        return read_keyring(path)


def read_keyring(path: Path) -> KeyRing:
    """Read a ring from its file.

    Raises:
        FileNotFoundError: there is no such file.
        KeyRingError: others may read it, or it is not a key file.
    """
    with _naming(path):
        return KeyRing.parse(_read_private(path).text)


def create_key_file(path: Path) -> bool:
    """Create a key file with one new key; return False if another process was first.

    The file appears at once, whole, synced and with permissions 0600: it is written next to its
    place under another name and then linked there, which never replaces anything. Created by root,
    it belongs to the owner of the folder.

    Raises:
        KeyRingError: it cannot be written.
    """
    content = f"{_HEADER}{_new_key_line()}\n".encode()
    try:
        with (
            _alone_in(path.parent) as folder,
            _drafted(path.name, content, folder=folder) as draft,
        ):
            return _link_new(draft, path.name, folder)
    except OSError as error:
        raise KeyRingError(f"key file {path}: cannot be created: {error.strerror}") from error


def rotate_key_file(path: Path, *, now: datetime, refresh_s: int) -> date:
    """Put a new key on top of those in a key file, which stay; return the day they may go.

    From that day on no token of theirs is valid, if the server is restarted within a day; the day
    is noted beside the previous top key. ``now`` is in UTC.
    The file is replaced whole, keeping its owner and permissions; it may be a link. Of two
    concurrent rotations, each adds a key.

    Raises:
        FileNotFoundError: there is no such file.
        KeyRingError: it cannot be used or replaced, or has no room for one more key.
    """
    path = path.resolve()
    last = now + _UNTIL_RESTARTED + timedelta(seconds=refresh_s)
    # The last token expires in the course of a day: the next day is the first without any.
    removable = (last + timedelta(days=1)).date()
    note = (
        f"# This one was on top until {now:%Y-%m-%d %H:%M} UTC."
        f" It may be removed from {removable} on if the server was restarted within a day."
    )
    with _naming(path), _alone_in(path.parent) as folder:
        old = _read_private(path.name, folder=folder)
        KeyRing.parse(old.text)
        lines = old.text.splitlines()
        top = next(at for at, line in enumerate(lines) if _has_key(line))
        lines[top:top] = [_new_key_line(), note]
        content = "".join(f"{line}\n" for line in lines).encode()
        if len(content) > _FILE_BYTES_MAX:
            raise KeyRingError("no room for another key: remove old ones")
        try:
            _replace(path.name, folder, content, like=old.status)
        except OSError as error:
            raise KeyRingError(f"cannot be replaced: {error.strerror}") from error
    return removable


class _Opened(NamedTuple):
    """The content of a private file, and the status of the very file that was read."""

    text: str
    status: os.stat_result


@contextmanager
def _naming(path: Path) -> Generator[None]:
    """Turn any error into a `KeyRingError` with the file's path; let a missing file pass."""
    try:
        yield
    except UnicodeDecodeError:
        raise KeyRingError(f"key file {path}: it is not a text file") from None
    except KeyRingError as error:
        raise KeyRingError(f"key file {path}: {error}") from error.__cause__
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyRingError(f"key file {path}: {error.strerror}") from error


def _parse_key(line: str, number: int) -> TokenKey:
    secret = base64url.decode(line.removeprefix(_PASERK_PREFIX))
    if not line.startswith(_PASERK_PREFIX) or secret is None:
        raise KeyRingError(f"line {number} is not a key of the form {_PASERK_PREFIX}...")
    try:
        return TokenKey.from_bytes(secret)
    except KeyRingError as error:
        raise KeyRingError(f"line {number}: {error}") from None


def _read_private(path: Path | str, *, folder: int | None = None) -> _Opened:
    """Read a small text file private to its owner, judging the file that was opened.

    In ``folder``, which is open, ``path`` must not be a link.
    """
    # Without O_NONBLOCK a FIFO in the file's place would block the program for ever.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    if folder is not None:
        flags |= os.O_NOFOLLOW
    descriptor = os.open(path, flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyRingError("it is not a regular file")
        mode = stat.S_IMODE(status.st_mode)
        if mode & _WIDER_THAN_0600:
            raise KeyRingError(f"its permissions are {mode:04o}; they must be 0600 at most")
        if status.st_size > _FILE_BYTES_MAX:
            raise KeyRingError(f"it is larger than {_FILE_BYTES_MAX} bytes")
        return _Opened(os.read(descriptor, _FILE_BYTES_MAX).decode("ascii"), status)
    finally:
        os.close(descriptor)


@contextmanager
def _drafted(
    name: str, content: bytes, *, folder: int, like: os.stat_result | None = None
) -> Generator[str]:
    """Write a file's content under a temporary name in its folder; safe on disk at the end.

    The lock of `_alone_in` is held: any draft found there is left by a process that was killed.
    """
    for left_over in os.listdir(folder):
        # Another user's, in a sticky folder, is not ours to remove.
        with suppress(OSError):
            if _is_draft_of(name, left_over, folder):
                os.unlink(left_over, dir_fd=folder)
    draft = f".{name}.{secrets.token_hex(_DRAFT_BYTES)}"
    try:
        _write_new(draft, content, like=like, folder=folder)
        yield draft
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
    os.fsync(folder)


def _is_draft_of(name: str, other: str, folder: int) -> bool:
    if not re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{{2 * _DRAFT_BYTES}}}", other):
        return False
    return stat.S_ISREG(os.stat(other, dir_fd=folder, follow_symlinks=False).st_mode)


def _write_new(name: str, content: bytes, *, like: os.stat_result | None, folder: int) -> None:
    """Write a new private file, with the owner and permissions of another if given."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - Path cannot open a descriptor
        if like is None:
            give_to_owner(descriptor, folder)
        else:
            # By the descriptor: by now a link may be in the file's place.
            if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _new_key_line() -> str:
    return _PASERK_PREFIX + base64url.encode(secrets.token_bytes(KEY_BYTES))


def _has_key(line: str) -> bool:
    return bool(line.strip()) and not line.strip().startswith("#")


@contextmanager
def _alone_in(path: Path) -> Generator[int]:
    """Open a folder, making others that create or rotate a key file in it wait.

    Raises:
        OSError: it cannot be opened, or somebody has held it for longer than either takes.
    """
    with open_folder(path) as folder:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    message = f"another process holds a lock on the folder {path}"
                    raise OSError(error.errno, message) from None
                time.sleep(_POLL_S)
        yield folder


def _replace(name: str, folder: int, content: bytes, *, like: os.stat_result) -> None:
    """Replace a file with a new one, keeping its owner: root rotates for a server's user.

    The folder may be that user's, who must gain nothing from it: everything happens in the folder
    that was opened, whatever is now at its path.
    """
    with _drafted(name, content, folder=folder, like=like) as draft:
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)


def _link_new(draft: str, name: str, folder: int) -> bool:
    try:
        os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        return False
    return True
