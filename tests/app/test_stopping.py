"""What ends a server that does not end by itself: see `HardLimit`."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from structlog.testing import LogCapture

from app.stopping import EXIT_CUT_OFF, EXIT_FLUSHED, HardLimit
from tests.postgres import quiet_log

if TYPE_CHECKING:
    import pytest

WAIT_S = 10.0


class Exits:
    """Takes down with which status the process would have ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statuses: list[int] = []
        self.ended = threading.Event()
        monkeypatch.setattr(os, "_exit", self.exit)

    def exit(self, status: int) -> None:
        """Take a status down instead of ending the process."""
        self.statuses.append(status)
        self.ended.set()


def test_shutdown_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows what came of it, the status says so."""
    exits, log = Exits(monkeypatch), LogCapture()
    HardLimit(0.01, quiet_log(log)).start()
    assert exits.ended.wait(WAIT_S)
    assert exits.statuses == [EXIT_CUT_OFF]
    assert [entry["event"] for entry in log.entries] == ["shutdown_hung", "server_stopped"]


def test_shutdown_that_hangs_ends_whatever_the_log_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The farewell comes last; one that fails changes nothing."""
    exits, said = Exits(monkeypatch), list[str]()

    def farewell() -> None:
        said.append("farewell")
        raise ValueError

    def hide(_: threading.ExceptHookArgs) -> None:
        """Keep what the farewell failed with out of the test's output."""

    monkeypatch.setattr(threading, "excepthook", hide)
    HardLimit(0.01, quiet_log(), farewell=farewell).start()
    assert exits.ended.wait(WAIT_S)
    assert (exits.statuses, said) == ([EXIT_CUT_OFF], ["farewell"])


def test_shutdown_whose_outcome_is_known_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every phase over, what is left is not worth waiting for, and no failure."""
    exits, log = Exits(monkeypatch), LogCapture()
    limit = HardLimit(0.01, quiet_log(log))
    limit.concluded(EXIT_FLUSHED)
    limit.start()
    assert exits.ended.wait(WAIT_S)
    assert exits.statuses == [EXIT_FLUSHED]
    assert [(entry["event"], entry["status"]) for entry in log.entries] == [("server_stopped", 0)]


def test_shutdown_that_ends_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit that was cancelled ends nothing."""
    exits = Exits(monkeypatch)
    limit = HardLimit(6 * WAIT_S, quiet_log())
    limit.start()
    limit.cancel()
    limit._timer.join(WAIT_S)
    assert not limit._timer.is_alive()
    assert exits.statuses == []
