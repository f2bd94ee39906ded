"""Log lines written by a thread of their own: in order, or lost, and never waited for."""

from __future__ import annotations

import io
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

import pytest

from app import log_lines
from app.log_lines import LineWriter, writing_behind

if TYPE_CHECKING:
    from collections.abc import Generator

WAIT_S = 10.0


class Reader:
    """A stream that takes lines once it is released."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        """Take some lines."""
        self.begun.set()
        assert self.go.wait(WAIT_S)
        self.lines += text.splitlines()
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def fileno(self) -> int:
        """Be no file."""
        raise OSError

    def isatty(self) -> bool:
        """Be no terminal."""
        return False


@contextmanager
def stalled(waiting_max: int = 1_000) -> Generator[tuple[LineWriter, Reader]]:
    """Return a writer whose thread hangs while writing the line ``first``."""
    reader = Reader()
    writer = LineWriter(cast("TextIO", reader), waiting_max=waiting_max)
    writer.write("first\n")
    assert reader.begun.wait(WAIT_S)
    try:
        yield writer, reader
    finally:
        reader.go.set()
        writer.close()


def test_lines_are_written_whole_and_in_order() -> None:
    """Whatever the thread does meanwhile."""
    stream = io.StringIO()
    with writing_behind(stream) as lines:
        for number in range(1_000):
            lines.write(f"line {number}\n")
    assert stream.getvalue() == "".join(f"line {number}\n" for number in range(1_000))


def test_lines_wait_for_a_reader_that_is_slow_and_nobody_else_does() -> None:
    """Lines that arrive while the reader hangs are there when it continues."""
    with stalled() as (lines, reader):
        lines.write("second\n")
        lines.write("third\n")
        assert reader.lines == []
        reader.go.set()
        assert lines.drain(WAIT_S)
        assert reader.lines == ["first", "second", "third"]


def test_lines_beyond_the_bound_are_lost_and_counted() -> None:
    """Memory is bounded, and the log says that something is missing."""
    with stalled(waiting_max=20) as (lines, reader):
        lines.report_lost_to(lambda lost: lines.write(f"{lost} lost\n"))
        for _ in range(5):
            lines.write("123456789\n")
        reader.go.set()
        assert lines.drain(WAIT_S)
        assert reader.lines == ["first", "123456789", "123456789", "3 lost"]


def test_lines_lost_before_an_end_are_told_where_the_reader_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log states the loss even if it takes nothing more and nothing follows."""
    monkeypatch.setattr(log_lines, "_DRAIN_S", WAIT_S)
    with stalled(waiting_max=20) as (lines, reader):
        lines.report_lost_to(lambda lost: lines.write(f"{lost} lost\n"))
        for _ in range(5):
            lines.write("123456789\n")
        threading.Timer(0.05, reader.go.set).start()
        lines.close()
        assert reader.lines == ["first", "123456789", "123456789", "3 lost"]


def test_line_beyond_the_bound_is_told_though_nothing_follows() -> None:
    """There is room at once to say so."""
    stream = io.StringIO()
    lines = LineWriter(stream, waiting_max=20)
    lines.report_lost_to(lambda lost: lines.write(f"{lost} lost\n"))
    lines.write("a line of more than all that may wait\n")
    assert lines.drain(WAIT_S)
    assert stream.getvalue() == "1 lost\n"
    lines.close()


def test_end_waits_for_no_reader() -> None:
    """A log that nobody reads does not delay the end of the program."""
    with stalled() as (lines, reader):
        lines.write("never read\n")
        assert not lines.drain(0.01)
        lines.close()
        lines.write("too late\n")
        assert reader.lines == []


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_reach_a_pipe_that_is_read_later(*, blocking: bool) -> None:
    """More than a pipe holds, even if the pipe has been made non-blocking."""
    read, write = os.pipe()
    os.set_blocking(write, blocking)
    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        lines = LineWriter(pipe)
        for number in range(20_000):
            lines.write(f"line {number} \N{SNOWMAN}\n")
        with os.fdopen(read, encoding="utf-8") as reader:
            for number in range(20_000):
                assert reader.readline() == f"line {number} \N{SNOWMAN}\n"
        lines.close()


def test_stream_that_is_broken_fails_nobody() -> None:
    """Logging continues if the reader has gone or the stream was closed."""
    read, write = os.pipe()
    os.close(read)
    closed = io.StringIO()
    closed.close()
    with os.fdopen(write, "w", encoding="utf-8") as pipe:
        for stream in (pipe, closed):
            with writing_behind(stream) as lines:
                lines.write("unheard\n")
                lines.write("unheard too\n")


def test_writer_is_a_terminal_where_its_stream_is() -> None:
    """The log's form depends on what reads it."""
    with writing_behind(io.StringIO()) as lines:
        assert not lines.isatty()
