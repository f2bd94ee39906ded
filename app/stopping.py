"""The program's shutdown: its request, and its phases.

Shutdown is a message on the bus, sent once for each phase, and ends in a cancel scope. Each phase
has a deadline; unfinished work is then cut off, and the exit status says so.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from actors.shutdown import Phase, Shutdown
from bus import Message, Topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from structlog.typing import FilteringBoundLogger

    from bus import Bus

EXIT_FLUSHED = 0
"""Everything was answered and flushed."""

EXIT_FAILED = 1
"""An actor failed for good, and the program stopped because of that."""

EXIT_CUT_OFF = 3
"""Something was not finished in time, or a second signal ended the program at once."""

FAREWELL_S: Final = 0.2
"""How long a `HardLimit` may take to say that it ends the process."""


class StopRequest:
    """A request to stop: from a signal, a failure, or the code that composed the program."""

    def __init__(self) -> None:
        self._asked = trio.Event()
        self._acts: list[Callable[[], object]] = []
        self.reason = ""
        self.failed = False

    def ask(self, reason: str, *, failed: bool = False) -> None:
        """Request the shutdown; the first reason is kept, and a failure is never forgotten."""
        self.failed = self.failed or failed
        if not self._asked.is_set():
            self.reason = reason
            self._asked.set()
            for act in self._acts:
                act()

    def when_asked(self, act: Callable[[], object]) -> None:
        """Call ``act`` with the first request, before any task that waits for it runs."""
        if self.asked:
            act()
        else:
            self._acts.append(act)

    @property
    def asked(self) -> bool:
        """Whether a shutdown was requested."""
        return self._asked.is_set()

    async def wait(self) -> None:
        """Wait until a shutdown is requested."""
        await self._asked.wait()


@dataclass(frozen=True, slots=True)
class Step:
    """One phase: what it waits for, for how long, and what cuts it off after that.

    What ``goes_on`` is cut off only when the time of all phases is up, and meanwhile holds up none.
    """

    phase: Phase
    timeout_s: float
    wait: Callable[[], Awaitable[None]]
    cut_off: Callable[[], None] | None = None
    goes_on: bool = False


async def stop_in_phases(
    bus: Bus, steps: tuple[Step, ...], reason: str, *, log: FilteringBoundLogger
) -> bool:
    """Publish each phase and wait for its parts; return whether all finished in time."""
    complete = True
    time_up = trio.current_time() + sum(step.timeout_s for step in steps)
    going_on: list[Step] = []
    for step in steps:
        # Stopped during startup, or with every actor gone: there is no receiver.
        with suppress(trio.BrokenResourceError):
            await bus.send(Message(Topic.SHUTDOWN, Shutdown(step.phase, reason)))
        if await _finished(step, trio.current_time() + step.timeout_s):
            continue
        if step.goes_on:
            going_on.append(step)
        else:
            complete = False
            _cut_off(step, log)
    for step in going_on:
        if not await _finished(step, time_up):
            complete = False
            _cut_off(step, log)
    return complete


async def _finished(step: Step, deadline: float) -> bool:
    """Wait for a phase's parts; return whether they finished before ``deadline``."""
    with trio.move_on_at(deadline) as scope:
        await step.wait()
    return not scope.cancelled_caught


def _cut_off(step: Step, log: FilteringBoundLogger) -> None:
    log.warning("shutdown_phase_cut_off", phase=step.phase.name.lower())
    if step.cut_off is not None:
        step.cut_off()


async def watch_signals(
    request: StopRequest,
    at_once: Callable[[], None],
    log: FilteringBoundLogger,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Turn SIGTERM, SIGINT and SIGHUP into a request; a second one calls ``at_once``.

    SIGHUP, from a terminal that closes, may come twice by itself and never counts as the second;
    where it is ignored, as under nohup, it stays ignored.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        seen = 0
        async for number in signals:
            seen += number != signal.SIGHUP
            name = signal.Signals(number).name
            if seen > 1:
                at_once()
            else:
                request.ask(name)
            log.info("signal_received", signal=name)


def exit_status(*, failed: bool, complete: bool) -> int:
    """Return the exit status for how the program ended."""
    if failed:
        return EXIT_FAILED
    return EXIT_FLUSHED if complete else EXIT_CUT_OFF


class HardLimit:
    """Ends the process from a thread of its own if a shutdown takes too long, whatever Trio does.

    ``limit_s`` counts from `start`. The exit status is then `EXIT_CUT_OFF`, unless the outcome of
    the shutdown is already known (see `concluded`). What was given to `before_end` is called first,
    ``farewell`` last; `FAREWELL_S` beyond the limit the process ends, whether or not the log hangs.
    """

    def __init__(
        self,
        limit_s: float,
        log: FilteringBoundLogger,
        *,
        farewell: Callable[[], object] = lambda: None,
    ) -> None:
        self._log = log
        self._farewell = farewell
        self._before_end: Callable[[], object] = lambda: None
        self._status: int | None = None
        self._timer = threading.Timer(limit_s, self._end)
        self._timer.daemon = True

    def start(self) -> None:
        """Start counting.

        If the system provides no thread, the shutdown goes on without a limit and logs a warning.
        """
        try:
            self._timer.start()
        except RuntimeError as error:
            self._log.warning("shutdown_unlimited", reason=str(error))

    def before_end(self, act: Callable[[], object]) -> None:
        """Call ``act`` from the limit's thread before it ends the process; it must not wait."""
        self._before_end = act

    def concluded(self, status: int) -> None:
        """Record that every phase is over, and the exit status for the process."""
        self._status = status

    def cancel(self) -> None:
        """Stop counting."""
        self._timer.cancel()

    def _end(self) -> None:
        status = EXIT_CUT_OFF if self._status is None else self._status
        try:
            self._before_end()
            # The thread that holds up the process may hold a lock of the log.
            last_words = threading.Thread(target=self._tell, args=(status,), daemon=True)
            last_words.start()
            last_words.join(FAREWELL_S)
        finally:
            os._exit(status)

    def _tell(self, status: int) -> None:
        if self._status is None:
            self._log.error("shutdown_hung")
        self._log.info("server_stopped", status=status)
        self._farewell()
