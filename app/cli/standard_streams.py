"""The standard streams of a program: some closed at its start, some of no use at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_LAST = 2
"""The descriptor of standard error."""


def open_closed_streams() -> None:
    """Give the null device to each standard stream that is closed, and to its descriptor.

    Else the next file or socket would get the descriptor, and what libraries and children write to
    standard error with it. Nobody hears what is written there, and nothing is read.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - as a standard stream is
    os.close(descriptor)
    # None is Python's way to say that the descriptor was closed at its start.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def drop_unwritable() -> None:
    """Drop what a standard stream still holds and cannot be written.

    To be called at the end, when it has been told. Python tries again on its way out, complains in
    its own words, and makes the exit status 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
        except ValueError:
            pass  # closed: there is nothing left to write


def silence(stream: TextIO) -> None:
    """Send what is and will be written to ``stream`` to the null device."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
