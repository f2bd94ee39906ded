"""Notifies many sleeping tasks when their clients have sent something, with one task for all.

Trio's way is one waiting task for each socket. A client of an event stream sends next to nothing,
and such a task would cost about as much memory as all the rest of its stream.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING, Final

import trio

from actors.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable


_CALLED_MAX: Final = 64
"""How many callbacks run in one turn of Trio's loop: a proxy that ends loses all its streams."""


class Readiness:
    """Watches sockets; each `watch` is notified once, when there is something to read."""

    def __init__(self) -> None:
        # The system's best selector is itself a file that Trio can wait for.
        self._selector = selectors.DefaultSelector()
        self._closed = False

    async def run(self) -> None:
        """Call back for each socket that becomes readable, until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._selector.fileno())
                watched = self._selector.get_map()
                turns = Turns(_CALLED_MAX)
                for key, _ in self._selector.select(0):
                    # An earlier turn may have forgotten it, and its number may have been reused.
                    if watched.get(key.fd) is key:
                        self.forget(key.fd)
                        callback: Callable[[], None] = key.data
                        callback()
                    await turns.worked()
        finally:
            self._closed = True
            self._selector.close()

    def watch(self, fd: int, callback: Callable[[], None]) -> None:
        """Call ``callback`` once when ``fd`` can be read or its peer is gone; must not raise.

        If ``fd`` is already watched, nothing changes. Once `run` has ended, nothing is called.
        """
        if not self._closed and fd not in self._selector.get_map():
            self._selector.register(fd, selectors.EVENT_READ, callback)

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``, before it is closed; do nothing if it is not watched."""
        if not self._closed and fd in self._selector.get_map():
            self._selector.unregister(fd)
