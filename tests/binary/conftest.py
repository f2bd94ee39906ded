"""Fixtures for the one-file program: where it lies, who runs it, and a fresh folder for each."""

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

# `make test` has no such program at hand; `make test-binary` builds it first.
collect_ignore_glob = [] if BINARY else ["test_*.py"]


@pytest.fixture
def user() -> User:
    """Choose an unprivileged user: whoever runs the tests, or one that owns nothing."""
    if os.geteuid() != 0:
        return User(os.geteuid(), os.getegid())
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


@pytest.fixture
def folder(user: User) -> Iterator[Path]:
    """Make an empty folder of that user, with the program in it and nothing else."""
    # Not pytest's own, which nobody but its owner can reach.
    path = Path(tempfile.mkdtemp(prefix="holdfast-binary-"))
    shutil.copy(BINARY or "", path / "holdfast")
    path.chmod(0o755)
    os.chown(path, user.uid, user.gid)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def program(folder: Path, user: User) -> Iterator[Program]:
    """Give the program as that user runs it, unpacking into its folder; ended with the test."""
    program = Program(folder, user, {"HOLDFAST_UNPACK_DIR": str(folder / "unpacked")})
    yield program
    program.end()


@pytest.fixture
def bare_program(folder: Path, user: User) -> Iterator[Program]:
    """Give the program with an empty environment; it finds a place to unpack into by itself."""
    program = Program(folder, user, {})
    yield program
    program.end()
    if user.uid != os.geteuid():
        # Nobody's only; a developer's own is as if the developer had run the program.
        with suppress(FileNotFoundError):
            shutil.rmtree(f"/var/tmp/holdfast-{user.uid}")  # noqa: S108 - where the program puts it


@pytest.fixture
def root_program(folder: Path) -> Iterator[Program]:
    """Give the program as root runs it."""
    if os.geteuid() != 0:
        pytest.skip("only root can run it as root")
    os.chown(folder, 0, 0)
    program = Program(folder, User(0, 0), {"HOLDFAST_UNPACK_DIR": str(folder / "unpacked")})
    yield program
    program.end()
