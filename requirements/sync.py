"""Sync ``.venv`` with a lock file; return quickly if it is up to date.

The Makefile runs it as ``python3 requirements/sync.py run`` (what a server needs) or ``dev`` (that
and what the tests need). This script can use only the standard library.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / os.environ.get("HOLDFAST_VENV", ".venv")
VENV_PYTHON = VENV / "bin" / "python"


class SetupError(Exception):
    """The environment cannot be created; the text says why in one line."""


def main(name: str) -> int:
    """Sync ``.venv`` with ``requirements/<name>.txt``; return an exit status."""
    # One `make` at a time: two pips would corrupt an environment.
    lock = os.open(ROOT / "requirements", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if not up_to_date(name):
            build(name)
    except SetupError as error:
        say(f"holdfast: {error}")
        return 1
    except KeyboardInterrupt:
        say("holdfast: interrupted; the next make goes on from here")
        return 130
    finally:
        os.close(lock)
    return 0


def up_to_date(name: str) -> bool:
    """Return whether ``.venv`` exists and is in sync with ``name``; ``dev`` includes ``run``."""
    return VENV_PYTHON.exists() and any(
        stamp_of(held).exists() and stamp_of(held).read_text() == digest(held)
        for held in dict.fromkeys((name, "dev"))
    )


def build(name: str) -> None:
    """Create ``.venv`` if needed; install the locked packages and the project itself."""
    base = VENV / "interpreter.stamp"
    if not (VENV_PYTHON.exists() and base.exists() and base.read_text() == interpreter()):
        create()
        base.write_text(interpreter())
    requirements = f"requirements/{name}.txt"
    total = sum("==" in line for line in (ROOT / requirements).read_text().splitlines())
    say(f"holdfast: installing {total} locked packages into {VENV.name} (once)")
    install(["--require-hashes", "-r", requirements], total)
    install(["--no-deps", "--no-index", "--no-build-isolation", "-e", "."], 1)
    stamp_of(name).write_text(digest(name))
    say(f"holdfast: {VENV.name} is ready")


def create() -> None:
    """Create an empty ``.venv`` with the Python that runs this file."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise SetupError(
            "this Python has no venv module; install it (Debian, Ubuntu: apt install python3-venv)"
        )
    if VENV.is_symlink():
        # Creating it would empty the link's target first, which belongs to something else.
        raise SetupError(
            f"{VENV.name} is a link to elsewhere; remove it: an environment is made here"
        )
    say(f"holdfast: creating {VENV.name} with Python {sys.version.split()[0]}")
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        said = (made.stdout + made.stderr).strip().splitlines() or ["no reason given"]
        raise SetupError(f"cannot create {VENV.name}: {said[-1]}")


def install(arguments: list[str], total: int) -> None:
    """Run pip, showing its progress; its output is shown only if it fails."""
    command = [str(VENV_PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--no-input", "--progress-bar", "off", *arguments]
    said: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            said.append(line)
            seen = sum(told.startswith(("Collecting", "Requirement already")) for told in said)
            if line.startswith("Installing"):
                show_progress("unpacking")
            else:
                show_progress(f"{min(seen, total)} of {total}")
    show_progress("")
    if pip.returncode != 0:
        say("".join(said[-15:]).rstrip())
        raise SetupError("pip could not install the locked packages; its last words are above")


def show_progress(text: str) -> None:
    """Rewrite the progress line, on a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def stamp_of(name: str) -> Path:
    """Return the file that records what was last installed for ``name``."""
    return VENV / f"{name}.stamp"


def digest(name: str) -> str:
    """Return a digest of everything that an installed environment depends on."""
    told = hashlib.sha256(f"{ROOT}\0{interpreter()}\0".encode())
    told.update((ROOT / "requirements" / f"{name}.txt").read_bytes())
    told.update((ROOT / "pyproject.toml").read_bytes())
    return told.hexdigest()


def interpreter() -> str:
    """Identify the Python of ``.venv``, and the path of ``.venv``."""
    return f"{sys.version}\0{sys.base_prefix}\0{VENV}"


def say(text: str) -> None:
    """Write a line for the user to standard error."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
