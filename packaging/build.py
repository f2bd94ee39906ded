"""Build ``dist/holdfast``, the whole program in one file for this platform; ``make binary``.

Needs Linux, a C compiler (``$CC``, else cc, gcc, clang) and what ``make run`` needs. Intermediate
files are in ``build/binary``. This script can use only the standard library.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build" / "binary"
TARGET: Final = ROOT / "dist" / "holdfast"
_BYTES_IN_MB: Final = 1_000_000
_C_FLAGS: Final = ("-std=c11", "-Os", "-s", "-Wall", "-Wextra")


class BuildError(Exception):
    """The program cannot be built; the message says why in one line."""


def main() -> int:
    """Build; return an exit status."""
    try:
        build()
    except BuildError as error:
        say(f"holdfast: {error}")
        return 1
    size = TARGET.stat().st_size / _BYTES_IN_MB
    say(f"holdfast: {TARGET.relative_to(ROOT)} is ready ({size:.0f} MB)")
    return 0


def build() -> None:
    """Collect the program, compile its launcher, and make one file of both."""
    if sys.platform != "linux":
        raise BuildError("one-file programs are built for Linux only")
    BUILD.mkdir(parents=True, exist_ok=True)
    TARGET.parent.mkdir(exist_ok=True)
    compiler = find_compiler()
    python = make_environment()
    (BUILD / "commit.txt").write_text(f"{commit()}\n")
    collected = collect(python)
    strip_interpreter(collected)
    launcher = BUILD / "launcher"
    source = ROOT / "packaging" / "launcher.c"
    run([*compiler, *_C_FLAGS, str(source), "-o", str(launcher)])
    pack = ROOT / "packaging" / "pack.py"
    run([str(python), str(pack), str(collected), str(launcher), str(TARGET)])


def find_compiler() -> list[str]:
    """Find a C compiler: a command and its first arguments."""
    given = shlex.split(os.environ.get("CC", ""))
    if given:
        return given
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name) is not None:
            return [name]
    raise BuildError("needs a C compiler (Debian, Ubuntu: apt install gcc libc6-dev)")


def make_environment() -> Path:
    """Sync the build environment with its lock; return its Python."""
    say("holdfast: building dist/holdfast")
    venv = BUILD / "venv"
    sync = ROOT / "requirements" / "sync.py"
    run([sys.executable, str(sync), "binary"], HOLDFAST_VENV=str(venv))
    return venv / "bin" / "python"


def commit() -> str:
    """Return the commit being built, with ``-dirty`` if the tree has changed since.

    ``$HOLDFAST_COMMIT`` names it if there is no repository, as in a container build.
    """
    given = os.environ.get("HOLDFAST_COMMIT")
    if given:
        return given
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"],  # noqa: S607 - the git of the user
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # an unpacked source archive
    return said.stdout.strip()


def collect(python: Path) -> Path:
    """Let PyInstaller collect the program into a folder; return it."""
    run(
        [
            *(str(python), "-m", "PyInstaller", "--noconfirm", "--log-level=ERROR"),
            f"--distpath={BUILD / 'collected'}",
            f"--workpath={BUILD / 'work'}",
            str(ROOT / "packaging" / "holdfast.spec"),
        ],
        # Bytecode stores sets in the order of their hashes.
        PYTHONHASHSEED="0",
        PYINSTALLER_CONFIG_DIR=str(BUILD / "cache"),
    )
    return BUILD / "collected" / "holdfast"


def strip_interpreter(collected: Path) -> None:
    """Strip debugging data from the interpreter, if this machine can.

    Other libraries come stripped, or their packagers rewrote them in ways that do not always
    survive ``strip``.
    """
    strip = shutil.which("strip")
    if strip is not None:
        modules = f"lib/python{sysconfig.get_python_version()}/lib-dynload/*.so"
        libraries = [*collected.glob("lib/libpython*"), *collected.glob(modules)]
        run([strip, "--strip-debug", *map(str, libraries)])


def run(command: list[str], **environ: str) -> None:
    """Run a step, with its output on standard error."""
    environment: Mapping[str, str] = {**os.environ, **environ}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise BuildError(f"{Path(command[0]).name} failed with status {done.returncode}")


def say(text: str) -> None:
    """Write a line for the user to standard error."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
