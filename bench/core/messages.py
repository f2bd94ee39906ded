"""The costs of the bus: a publish to one of N keyed subscriptions, an ask, a large fan-out.

    .venv/bin/python bench/core/messages.py

The floors are bare Trio: a memory channel found by its key in a dictionary and sent to, a round
trip through two channels, and a fan-out into as many. Nothing leaves the process.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

import trio

from bench.core.figures import Figure, Report, each_us, parser, percentile, rounds_of, watch
from bus import Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from bench.core.figures import Watch
    from bus import Bus, Subscription

SENDS = 20_000
ASKS = 4_000
SUBSCRIPTIONS = (10, 100, 1_000, 10_000, 100_000)
WIDE = 100_000


async def measure(rounds: int) -> Report:
    """Measure all figures."""
    report = Report("the bus")
    publishing = [
        report.add(each_us(f"publish to 1 of {count:,}", SENDS, publish(count, rounds)))
        for count in SUBSCRIPTIONS
    ]
    report.ratio("  the last against the first", publishing[-1], publishing[0])
    for count, figure in ((SUBSCRIPTIONS[0], publishing[0]), (WIDE, publishing[-1])):
        told = f"send to 1 of {count:,}, bare memory channels"
        floor = report.add(each_us(told, SENDS, bare_sends(count, rounds)))
        report.ratio("  publish against bare", figure, floor)
    bare = report.add(
        each_us("round trip, bare memory channels", ASKS, await rounds_of(bare_round_trips, rounds))
    )
    ask = report.add(each_us("ask through the bus", ASKS, await rounds_of(asks, rounds)))
    report.ratio("  ask against bare", ask, bare)
    stalls = [await fan_out_stall_ms(WIDE) for _ in range(rounds)]
    report.add(Figure(f"longest stall, publish to {WIDE:,}", percentile(stalls, 0.5), "ms"))
    report.add(Figure(f"  the same into {WIDE:,} bare channels", bare_fan_out_ms(WIDE), "ms"))
    return report


def publish(count: int, rounds: int) -> list[Watch]:
    """Time `send_nowait` that reaches one of ``count`` subscriptions."""
    bus = open_broadcast_channel()
    subscriptions = keyed(bus, count)
    message = Message(Topic.TASK, None, key=str(count // 2))
    target = subscriptions[count // 2]
    gc.collect()
    gc.freeze()
    taken: list[Watch] = []
    for _ in range(rounds):
        with watch() as each:
            for _ in range(SENDS):
                bus.send_nowait(message)
        taken.append(each)
        for _ in range(SENDS):
            target.receive_nowait()
    return taken


def bare_sends(count: int, rounds: int) -> list[Watch]:
    """Time `send_nowait` into one of ``count`` memory channels, found by its key."""
    channels = {
        str(number): trio.open_memory_channel[Message](SENDS + 1) for number in range(count)
    }
    key = str(count // 2)
    message = Message(Topic.TASK, None, key=key)
    target = channels[key][1]
    gc.collect()
    gc.freeze()
    taken: list[Watch] = []
    for _ in range(rounds):
        with watch() as each:
            for _ in range(SENDS):
                channels[key][0].send_nowait(message)
        taken.append(each)
        for _ in range(SENDS):
            target.receive_nowait()
    for send, receive in channels.values():
        send.close()
        receive.close()
    return taken


def keyed(bus: Bus, count: int) -> list[Subscription]:
    """Open ``count`` subscriptions, each with its own key."""
    return [
        bus.subscribe(Interest(Topic.TASK, key=str(number)), buffer=SENDS + 1)
        for number in range(count)
    ]


async def bare_round_trips() -> None:
    """Go to another task and back through two memory channels."""
    send_there, receive_there = trio.open_memory_channel[int](1)
    send_back, receive_back = trio.open_memory_channel[int](1)

    async def echo() -> None:
        async for value in receive_there:
            await send_back.send(value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for number in range(ASKS):
            await send_there.send(number)
            await receive_back.receive()
        send_there.close()


async def asks() -> None:
    """Ask an actor on the bus and wait for its answer, with deadlines kept as the server does."""
    with open_broadcast_channel() as bus:
        inbox = bus.subscribe(Interest(Topic.TASK, key="echo"), buffer=10)

        async def actor() -> None:
            with inbox.answering():
                async for message in inbox:
                    if message.reply is not None:
                        message.reply.send_nowait(message.body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(bus.keep_deadlines)
            nursery.start_soon(actor)
            for number in range(ASKS):
                await bus.ask(Topic.TASK, number, key="echo", timeout_s=5)
            nursery.cancel_scope.cancel()


async def fan_out_stall_ms(count: int) -> float:
    """Measure the longest time for which a large fan-out keeps another task from running."""
    bus = open_broadcast_channel()
    inboxes = [bus.subscribe(Interest(Topic.TICK), buffer=1) for _ in range(count)]
    gc.collect()
    gc.freeze()
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await trio.lowlevel.checkpoint()
            longest = max(longest, time.perf_counter() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await trio.lowlevel.checkpoint()
        await bus.send(Message(Topic.TICK, None))
        nursery.cancel_scope.cancel()
    del inboxes
    return longest * 1e3


def bare_fan_out_ms(count: int) -> float:
    """Measure the time to put one value into each of ``count`` memory channels, in one go."""
    channels = [trio.open_memory_channel[object](1) for _ in range(count)]
    with watch() as taken:
        for send, _ in channels:
            send.send_nowait(None)
    for send, receive in channels:
        send.close()
        receive.close()
    return taken.wall_s * 1e3


def main() -> None:
    """Run it as a command."""
    options = parser(__doc__).parse_args()
    trio.run(measure, options.rounds).write(options.json)


if __name__ == "__main__":
    main()
