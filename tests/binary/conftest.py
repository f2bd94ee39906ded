"""Fixtures for the one-file program: its path, the user who runs it, a fresh folder for each."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.binary.program import Program, User

if TYPE_CHECKING:
    from collections.abc import Iterator

BINARY = os.environ.get("HOLDFAST_BINARY")

# `make test` does not have this program; `make test-binary` builds it first.
collect_ignore_glob = [] if BINARY else ["test_*.py"]


@pytest.fixture
def user() -> User:
    """Choose an unprivileged user: the one who runs the tests, or one that owns nothing."""
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid())
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


@pytest.fixture
def folder(user: User) -> Iterator[Path]:
    """Make an empty folder of that user, with the program in it and nothing else."""
    # Not pytest's own, which only its owner can enter.
    path = Path(tempfile.mkdtemp(prefix="holdfast-binary-"))
    shutil.copy(BINARY or "", path / "holdfast")
    path.chmod(0o755)
    os.chown(path, user.uid, user.gid)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def program(folder: Path, user: User) -> Iterator[Program]:
    """Yield the program run as that user, unpacking into its folder; it ends with the test."""
    program = Program(folder, user, {"HOLDFAST_UNPACK_DIR": str(folder / "unpacked")})
    yield program
    program.end()


@pytest.fixture
def bare_program(folder: Path, user: User) -> Iterator[Program]:
    """Yield the program with an empty environment, so that it must choose where to unpack."""
    program = Program(folder, user, {})
    yield program
    program.end()
    if user.uid != os.geteuid():
        # Only another user's: a developer's stays, as if the developer had run the program.
        with suppress(FileNotFoundError):
            shutil.rmtree(f"/var/tmp/holdfast-{user.uid}")  # noqa: S108 - where the program puts it


@pytest.fixture
def root_program(folder: Path) -> Iterator[Program]:
    """Yield the program run as root."""
    if os.geteuid() != 0:
        pytest.skip("only root can run it as root")
    os.chown(folder, 0, 0)
    program = Program(folder, User(0, 0), {"HOLDFAST_UNPACK_DIR": str(folder / "unpacked")})
    yield program
    program.end()
