"""One task that watches many sockets: which callbacks it calls, and how often."""

from __future__ import annotations

import socket
from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from app.http.streams.readiness import Readiness


async def test_readiness_calls_once_until_asked_again() -> None:
    """A callback that does not read yet is not called again and again."""
    readiness = Readiness()
    near, far = socket.socketpair()
    calls: list[str] = []
    with near, far:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.run)
            readiness.watch(near.fileno(), lambda: calls.append("near"))
            far.send(b"x")
            while not calls:  # noqa: ASYNC110 - real sockets
                await trio.sleep(0.001)
            await trio.sleep(0.02)
            assert calls == ["near"]
            readiness.watch(near.fileno(), lambda: calls.append("again"))
            while len(calls) < 2:  # noqa: ASYNC110 - real sockets
                await trio.sleep(0.001)
            assert calls == ["near", "again"]
            nursery.cancel_scope.cancel()


async def test_readiness_calls_many_in_several_turns() -> None:
    """A proxy that ends takes all its streams along: other tasks run in between."""
    readiness = Readiness()
    pairs = [socket.socketpair() for _ in range(200)]
    calls: list[int] = []
    in_a_turn: list[int] = []

    class Turns(trio.abc.Instrument):
        def after_io_wait(self, timeout: float) -> None:
            in_a_turn.append(-len(calls))

        def before_io_wait(self, timeout: float) -> None:
            if in_a_turn:
                in_a_turn[-1] += len(calls)

    for near, _ in pairs:
        readiness.watch(near.fileno(), partial(calls.append, near.fileno()))
    for _, far in pairs:
        far.close()
    trio.lowlevel.add_instrument(instrument := Turns())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.run)
        while len(calls) < len(pairs):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    trio.lowlevel.remove_instrument(instrument)
    assert sorted(calls) == sorted(near.fileno() for near, _ in pairs)
    assert 0 < max(in_a_turn) < len(pairs)
    for near, _ in pairs:
        near.close()


async def test_readiness_calls_nobody_who_was_forgotten_a_turn_before() -> None:
    """Some of many ready sockets are closed by earlier callbacks: their numbers may be reused."""
    readiness = Readiness()
    pairs = [socket.socketpair() for _ in range(100)]
    last = pairs[-1][0].fileno()
    calls: list[str] = []

    def first() -> None:
        readiness.forget(last)
        readiness.watch(last, lambda: calls.append("new"))

    readiness.watch(pairs[0][0].fileno(), first)
    for near, _ in pairs[1:]:
        readiness.watch(near.fileno(), lambda: calls.append("old"))
    for _, far in pairs:
        far.close()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.run)
        while "new" not in calls:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert (calls.count("old"), calls.count("new")) == (98, 1)
    for near, _ in pairs:
        near.close()


async def test_readiness_watches_once() -> None:
    """Asking again while a socket is watched changes nothing."""
    readiness = Readiness()
    near, far = socket.socketpair()
    calls: list[int] = []
    with near, far:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.run)
            for number in range(2):
                readiness.watch(near.fileno(), lambda number=number: calls.append(number))
            far.send(b"x")
            await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
    assert calls == [0]


async def test_readiness_forgets() -> None:
    """A forgotten socket calls nobody, and may be forgotten twice."""
    readiness = Readiness()
    near, far = socket.socketpair()
    with near, far:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readiness.run)
            readiness.watch(near.fileno(), lambda: (_ for _ in ()).throw(AssertionError))
            readiness.forget(near.fileno())
            readiness.forget(near.fileno())
            far.send(b"x")
            await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def test_readiness_that_has_ended_takes_everything_and_does_nothing() -> None:
    """Streams that end after the watch has ended need not know."""
    readiness = Readiness()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(readiness.run)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    readiness.watch(0, lambda: None)
    readiness.forget(0)
