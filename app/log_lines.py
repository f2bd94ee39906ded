"""Writes the log from a thread of its own, so that nothing waits for the log's reader.

A pipe that nobody reads, as when a log collector hangs, costs a bounded amount of memory, and then
events. If the server's one thread wrote to it, it would hold up every player, and the shutdown too.
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
"""How many characters may wait to be written; lines beyond that are lost, and counted."""

_DRAIN_S: Final = 0.3
"""How long `drain` and `close` wait for a reader."""


class LineWriter:
    """A stream for `app.logs.open_logs`: `write` never waits, and never fails.

    Lines go to the stream's file descriptor where it has one (bypassing the stream's buffer, which
    a hung thread would keep locked), or else to the text stream itself.
    """

    def __init__(self, stream: TextIO, *, waiting_max: int = WAITING_MAX) -> None:
        self._stream = stream
        self._file = _descriptor(stream)
        self._waiting_max = waiting_max
        self._lines: list[str] = []
        self._waiting = 0
        self._lost = 0
        self._lost_reported: Callable[[int], object] = _nobody
        # Held only to access the fields above, never while writing.
        self._changed = threading.Condition()
        self._ended = False
        self._idle = True
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def report_lost_to(self, report: Callable[[int], object]) -> None:
        """Call ``report`` with the number of lost lines, once there is room."""
        self._lost_reported = report

    def isatty(self) -> bool:
        """Whether a person reads it on a terminal."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Queue lines to be written soon; beyond the bound they are lost."""
        # The thread itself reports at most once each time it empties the queue.
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
        """Do nothing: each line is written as soon as the reader permits."""

    def drain(self, timeout_s: float = _DRAIN_S) -> bool:
        """Wait up to ``timeout_s`` until everything is written; return whether it was."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle, timeout_s)

    def close(self) -> None:
        """Accept nothing more; write what is queued, and how much was lost, if anybody reads it."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(_DRAIN_S)

    def _run(self) -> None:
        while (taken := self._next()) is not None:
            text, lost = taken
            if lost:
                # There is room for the report now: the queue was just emptied.
                with suppress(Exception):  # Without this thread nothing is ever written again.
                    self._lost_reported(lost)
            with suppress(OSError, ValueError):
                self._write(text)

    def _next(self) -> tuple[str, int] | None:
        """Take everything queued and the number of lost lines; None once ended and empty."""
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
                # Another process that shares the descriptor has made it non-blocking.
                select.select((), (self._file,), ())


@contextmanager
def writing_behind(stream: TextIO) -> Generator[LineWriter]:
    """Write to ``stream`` from a thread while the block runs, and what is left at its end."""
    writer = LineWriter(stream)
    try:
        yield writer
    finally:
        writer.close()


def _descriptor(stream: TextIO) -> int | None:
    """Flush a stream and return its file descriptor, or None if it has none."""
    with suppress(OSError, ValueError):
        stream.flush()
        return stream.fileno()
    return None


def _nobody(_lost: int) -> None:
    """Ignore lost lines; the default where no report is set."""
