"""Writes the log from a thread of its own, so that nobody waits for whoever reads it.

A pipe that nobody reads, as where a log collector hangs, costs a bounded amount of memory here, and
then events. Were it written to by the one thread of the server, it would hold up every player, and
the shutdown too.
"""

from __future__ import annotations

import os
import select
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import TextIO

WAITING_MAX: Final = 4_000_000
"""How many characters wait to be written; lines that come beyond them are lost, and counted."""

_DRAIN_S: Final = 0.3
"""How long an end waits for a reader."""


class LineWriter:
    """A stream for `app.logs.open_logs`: `write` never waits, and never fails.

    What the lines are written to may be a descriptor (then without its stream's own buffer, which
    a thread that hangs would keep locked) or any text stream.
    """

    def __init__(self, stream: TextIO, *, waiting_max: int = WAITING_MAX) -> None:
        self._stream = stream
        self._file = _descriptor(stream)
        self._waiting_max = waiting_max
        self._lines: list[str] = []
        self._waiting = 0
        self._lost = 0
        self._lost_reported: Callable[[int], object] = _nobody
        # Held for as long as it takes to look at the fields above, never while writing.
        self._changed = threading.Condition()
        self._ended = False
        self._idle = True
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def report_lost_to(self, report: Callable[[int], object]) -> None:
        """Have ``report`` called with the number of lines that were lost, once there is room."""
        self._lost_reported = report

    def isatty(self) -> bool:
        """Whether a person reads it on a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Take some lines to be written soon; beyond the bound they are lost."""
        # What the thread itself reports is a line for each time that it has taken all there was.
        reported = threading.current_thread() is self._thread
        with self._changed:
            fits = self._waiting + len(text) <= self._waiting_max
            if reported or (fits and not self._ended):
                self._lines.append(text)
                self._waiting += len(text)
            else:
                self._lost += 1
            self._idle = False
            self._changed.notify_all()
        return len(text)

    def flush(self) -> None:
        """Do nothing: each line is written as soon as the reader lets it."""

    def drain(self, timeout_s: float = _DRAIN_S) -> bool:
        """Wait until all is written, for ``timeout_s`` at most; return whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, timeout_s)

    def close(self) -> None:
        """Take nothing more, and write what there is, and what was lost, unless nobody reads it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(_DRAIN_S)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            text, lost = taken
            if lost:
                # There is room for that now: all that waited was taken.
                with suppress(Exception):  # Without this thread nothing is ever written again.
                    self._lost_reported(lost)
            with suppress(OSError, ValueError):
                self._write(text)

    def _next(self) -> tuple[str, int] | None:
        """Take all that waits, and how many were lost; None where nothing waits or will."""
        with self._changed:
            if not self._lines and not self._lost:
                self._idle = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._lost or self._ended)
            text = "".join(self._lines)
            self._lines.clear()
            self._waiting = 0
            lost, self._lost = self._lost, 0
            return (text, lost) if text or lost else None

    def _write(self, text: str) -> None:
        if self._file is None:
            self._stream.write(text)
            self._stream.flush()
            return
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:
                # Whoever shares the descriptor has made it so.
                select.select((), (self._file,), ())


@contextmanager
def writing_behind(stream: TextIO) -> Generator[LineWriter]:
    """Write to ``stream`` from a thread for the length of the block, at its end what is left."""
    writer = LineWriter(stream)
    try:
        yield writer
    finally:
        writer.close()


def _descriptor(stream: TextIO) -> int | None:
    """Give the file that a stream writes to, with nothing left in its buffer; None for others."""
    with suppress(OSError, ValueError):
        stream.flush()
        return stream.fileno()
    return None


def _nobody(_lost: int) -> None:
    """Be told of lost lines where nobody else is."""
