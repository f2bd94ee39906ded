"""The standard streams of a program that was started with some of them closed."""

from __future__ import annotations

import os
import sys

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
