"""What ends a server that does not end by itself: see `HardLimit`."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import trio
from structlog.testing import LogCapture

from actors.shutdown import Phase
from app import stopping
from app.config.load import SHUTDOWN_MS_MAX
from app.root import ROOM_S
from app.stopping import (
    EXIT_CUT_OFF,
    EXIT_FLUSHED,
    FAREWELL_S,
    HardLimit,
    Step,
    StopRequest,
    stop_in_phases,
    watch_signals,
)
from bus import open_broadcast_channel
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trio.testing import MockClock

WAIT_S = 10.0


@pytest.fixture
def hang_up() -> Iterator[None]:
    """Leave SIGHUP as it was found."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


async def seen(log: LogCapture, count: int) -> None:
    """Wait until this many signals have arrived."""
    with trio.fail_after(WAIT_S):
        while len(log.entries) < count:  # noqa: ASYNC110 - the log has no event to wait for
            await trio.sleep(0.001)


@pytest.mark.usefixtures("hang_up")
async def test_hangup_asks_once_however_often_it_comes() -> None:
    """A closing terminal may send it twice, and with other signals: nobody is impatient."""
    request, log = StopRequest(), LogCapture()
    async with trio.open_nursery() as watching:
        with trio.CancelScope() as at_once:
            await watching.start(watch_signals, request, at_once.cancel, quiet_log(log))
            for count, number in enumerate(
                (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP), 1
            ):
                os.kill(os.getpid(), number)
                await seen(log, count)
                assert not at_once.cancel_called
            assert request.reason == "SIGHUP"
            os.kill(os.getpid(), signal.SIGTERM)
            await trio.sleep(WAIT_S)
        assert at_once.cancelled_caught
        watching.cancel_scope.cancel()


@pytest.mark.usefixtures("hang_up")
async def test_hangup_that_is_ignored_stays_so() -> None:
    """Under nohup a server outlives its terminal."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request, log = StopRequest(), LogCapture()
    async with trio.open_nursery() as watching:
        await watching.start(watch_signals, request, watching.cancel_scope.cancel, quiet_log(log))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        await seen(log, 1)
        assert request.reason == "SIGTERM"
        watching.cancel_scope.cancel()


class Exits:
    """Records the status with which the process would have ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statuses: list[int] = []
        self.ended = threading.Event()
        monkeypatch.setattr(os, "_exit", self.exit)

    def exit(self, status: int) -> None:
        """Record a status instead of ending the process."""
        self.statuses.append(status)
        self.ended.set()


def test_shutdown_that_hangs_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the outcome is unknown, the status says so."""
    exits, log = Exits(monkeypatch), LogCapture()
    monkeypatch.setattr(stopping, "FAREWELL_S", WAIT_S)
    HardLimit(0.01, quiet_log(log)).start()
    assert exits.ended.wait(WAIT_S)
    assert exits.statuses == [EXIT_CUT_OFF]
    assert [entry["event"] for entry in log.entries] == ["shutdown_hung", "server_stopped"]


def test_shutdown_that_hangs_ends_whatever_the_log_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The farewell comes last; its failure changes nothing."""
    exits, said = Exits(monkeypatch), list[str]()
    monkeypatch.setattr(stopping, "FAREWELL_S", WAIT_S)

    def farewell() -> None:
        said.append("farewell")
        raise ValueError

    def hide(_: threading.ExceptHookArgs) -> None:
        """Keep the farewell's error out of the test's output."""

    monkeypatch.setattr(threading, "excepthook", hide)
    HardLimit(0.01, quiet_log(), farewell=farewell).start()
    assert exits.ended.wait(WAIT_S)
    assert (exits.statuses, said) == ([EXIT_CUT_OFF], ["farewell"])


@pytest.mark.parametrize("held", ["log", "farewell"])
def test_shutdown_that_hangs_ends_though_the_log_hangs_too(
    monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Neither a log lock that is never released nor an endless farewell is waited for."""
    exits, never = Exits(monkeypatch), threading.Event()

    class Held(LogCapture):
        def __call__(self, *event: Any) -> NoReturn:
            never.wait()
            super().__call__(*event)

    log = quiet_log(Held() if held == "log" else None)
    farewell = never.wait if held == "farewell" else bool
    HardLimit(0.01, log, farewell=farewell).start()
    try:
        assert exits.ended.wait(WAIT_S)
        assert exits.statuses == [EXIT_CUT_OFF]
    finally:
        never.set()


def test_shutdown_that_hangs_is_over_in_five_seconds() -> None:
    """With the longest phases that can be set, and a log that nobody reads."""
    assert SHUTDOWN_MS_MAX / 1000 + ROOM_S + FAREWELL_S <= 4.9


def test_shutdown_whose_outcome_is_known_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every phase over, the rest is not worth waiting for, and no failure."""
    exits, log = Exits(monkeypatch), LogCapture()
    limit = HardLimit(0.01, quiet_log(log))
    limit.concluded(EXIT_FLUSHED)
    limit.start()
    assert exits.ended.wait(WAIT_S)
    assert exits.statuses == [EXIT_FLUSHED]
    assert [(entry["event"], entry["status"]) for entry in log.entries] == [("server_stopped", 0)]


def test_shutdown_that_hangs_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must not outlive the process is told first, even if the log then hangs."""
    exits, told = Exits(monkeypatch), threading.Event()
    limit = HardLimit(0.01, quiet_log(), farewell=threading.Event().wait)
    limit.before_end(told.set)
    limit.start()
    assert exits.ended.wait(WAIT_S)
    assert told.is_set()


def test_request_is_acted_on_before_anyone_who_waits_for_it_runs() -> None:
    """Whoever runs first may hold up the loop: the limit counts by then, and only once."""
    request, acts = StopRequest(), list[str]()
    request.when_asked(lambda: acts.append("early"))
    request.ask("SIGTERM")
    request.ask("SIGTERM")
    request.when_asked(lambda: acts.append("late"))
    assert acts == ["early", "late"]


@pytest.mark.parametrize(("lasts_s", "complete"), [(0.5, True), (3.5, True), (4.5, False)])
async def test_leave_taken_of_clients_goes_on_beside_later_phases(
    autojump_clock: MockClock, lasts_s: float, *, complete: bool
) -> None:
    """It costs its own phase no more than its deadline, and has the time of all of them."""
    ended, log, began = trio.Event(), LogCapture(), trio.current_time()
    entered: list[float] = []

    async def enter() -> None:
        entered.append(trio.current_time() - began)
        await trio.lowlevel.checkpoint()

    steps = (
        Step(Phase.EDGE, 1.0, ended.wait, goes_on=True),
        Step(Phase.WORLD, 1.0, enter),
        Step(Phase.DATABASE, 2.0, enter),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_set_after, ended, lasts_s)
        with open_broadcast_channel() as bus:
            assert await stop_in_phases(bus, steps, "SIGTERM", log=quiet_log(log)) is complete
        nursery.cancel_scope.cancel()
    assert entered == [pytest.approx(min(lasts_s, 1.0))] * 2
    cut_off = [entry["phase"] for entry in log.entries]
    assert cut_off == ([] if complete else ["edge"])


async def _set_after(event: trio.Event, seconds: float) -> None:
    await trio.sleep(seconds)
    event.set()


async def test_shutdown_goes_on_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At the system's thread limit, the phases still run, without their time limit."""
    log, request = LogCapture(), StopRequest()

    def refuse(_: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    limit = HardLimit(WAIT_S, quiet_log(log))
    request.when_asked(limit.start)
    request.ask("SIGTERM")
    limit.cancel()
    [entry] = log.entries
    assert (entry["event"], entry["log_level"]) == ("shutdown_unlimited", "warning")
    assert entry["reason"] == "can't start new thread"


def test_shutdown_that_ends_in_time_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled limit ends nothing."""
    exits = Exits(monkeypatch)
    limit = HardLimit(6 * WAIT_S, quiet_log())
    limit.start()
    limit.cancel()
    limit._timer.join(WAIT_S)
    assert not limit._timer.is_alive()
    assert exits.statuses == []
