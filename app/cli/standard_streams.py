"""The standard streams of a program: closed ones at its start, unwritable ones at its end."""

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
    """Open the null device for each closed standard stream, on its descriptor.

    Otherwise the next file or socket would get the descriptor, and receive what libraries and
    children write to standard error. Output to the null device is lost; reading yields nothing.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - as a standard stream is
    os.close(descriptor)
    # Python sets a stream to None if its descriptor was closed at startup.
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - until the end
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115


def escape_unwritable() -> None:
    """Make standard output accept every text: characters that its encoding lacks are escaped.

    A terminal with an encoding other than UTF-8 lacks many characters of names and titles, and
    some that the program draws with. Standard error does this by default.
    """
    # In the C locale it is UTF-8 and passes the bytes of a path through, or ASCII and does only
    # the latter.
    limited = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    handler = sys.stdout.errors
    if reconfigure and (handler == "strict" or (limited and handler == "surrogateescape")):
        reconfigure(errors="backslashreplace")


def drop_unwritable() -> None:
    """Drop what a standard stream has buffered and cannot write.

    Call it at the end, after reporting the error. Otherwise Python tries again at exit, prints its
    own error, and sets the exit status to 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
        except ValueError:
            pass  # closed: there is nothing left to write


def silence(stream: TextIO) -> None:
    """Redirect ``stream``, with what it has buffered, to the null device."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
