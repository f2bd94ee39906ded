"""The standard streams of a program: some closed at its start, some of no use at its end."""

from __future__ import annotations

import codecs
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
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


def escape_unwritable() -> None:
    """Have standard output take every text: what its encoding lacks is written as an escape.

    A terminal of another encoding than UTF-8 has few of the characters that names and titles are
    of, and not all that the program draws. Standard error is so from the start.
    """
    # In the locale C it is UTF-8 and lets the bytes of a path through, or ASCII and does only that.
    limited = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    handler = sys.stdout.errors
    if reconfigure and (handler == "strict" or (limited and handler == "surrogateescape")):
        reconfigure(errors="backslashreplace")


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
