"""What the bus costs: a publish to one of N keyed subscriptions, an ask, a large fan-out.

    .venv/bin/python bench/messages.py [--json FILE]

Each figure is the median of several rounds. A round trip through two bare memory channels, and the
stall of an idle loop, stand beside them as floors. Nothing leaves the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from bus import Interest, Message, Topic, open_broadcast_channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bus import Bus, Subscription

ROUNDS = 7
SENDS = 20_000
ASKS = 4_000
SUBSCRIPTIONS = (10, 1_000, 100_000)


def main() -> None:
    """Measure everything, print it, and write it as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    figures = trio.run(measure)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:10.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


async def measure() -> dict[str, float]:
    """Take all figures, by their names."""
    figures: dict[str, float] = {}
    for count in SUBSCRIPTIONS:
        figures[f"publish to 1 of {count}, us"] = publish_us(count)
    first, last = (figures[f"publish to 1 of {count}, us"] for count in SUBSCRIPTIONS[::2])
    figures["ratio of the last to the first"] = last / first
    figures["bare round trip, us"] = await median_us(bare_round_trips, ASKS)
    figures["ask through the bus, us"] = await median_us(asks, ASKS)
    figures["ratio of ask to bare"] = (
        figures["ask through the bus, us"] / figures["bare round trip, us"]
    )
    figures["longest stall while 100000 wake, ms"] = await fan_out_stall_ms(100_000)
    return figures


def publish_us(count: int) -> float:
    """Take the time of one `send_nowait` that reaches one of ``count`` subscriptions."""
    bus = open_broadcast_channel()
    subscriptions = keyed(bus, count)
    message = Message(Topic.TASK, None, key=str(count // 2))
    target = subscriptions[count // 2]
    gc.collect()
    gc.freeze()
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(SENDS):
            bus.send_nowait(message)
        rounds.append((time.perf_counter() - began) / SENDS)
        for _ in range(SENDS):
            target.receive_nowait()
    return statistics.median(rounds) * 1e6


def keyed(bus: Bus, count: int) -> list[Subscription]:
    """Open ``count`` subscriptions, each with a key of its own."""
    return [
        bus.subscribe(Interest(Topic.TASK, key=str(number)), buffer=SENDS + 1)
        for number in range(count)
    ]


async def median_us(run: Callable[[int], Awaitable[None]], count: int) -> float:
    """Take the median time of one of ``count`` repetitions over several rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await run(count)
        rounds.append((time.perf_counter() - began) / count)
    return statistics.median(rounds) * 1e6


async def bare_round_trips(count: int) -> None:
    """Go to another task and back through two memory channels."""
    send_there, receive_there = trio.open_memory_channel[int](1)
    send_back, receive_back = trio.open_memory_channel[int](1)

    async def echo() -> None:
        async for value in receive_there:
            await send_back.send(value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo)
        for number in range(count):
            await send_there.send(number)
            await receive_back.receive()
        send_there.close()


async def asks(count: int) -> None:
    """Ask an actor on the bus and wait for its answer."""
    with open_broadcast_channel() as bus:
        inbox = bus.subscribe(Interest(Topic.TASK, key="echo"), buffer=10)

        async def actor() -> None:
            with inbox.answering():
                async for message in inbox:
                    if message.reply is not None:
                        message.reply.send_nowait(message.body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor)
            for number in range(count):
                await bus.ask(Topic.TASK, number, key="echo", timeout_s=5)
            inbox.close()


async def fan_out_stall_ms(count: int) -> float:
    """Take the longest time for which another task is kept from running by a large fan-out."""
    bus = open_broadcast_channel()
    inboxes = [bus.subscribe(Interest(Topic.TICK), buffer=1) for _ in range(count)]
    gc.collect()
    gc.freeze()
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await trio.lowlevel.checkpoint()
            longest = max(longest, time.perf_counter() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.lowlevel.checkpoint()
        await bus.send(Message(Topic.TICK, None))
        nursery.cancel_scope.cancel()
    del inboxes
    return longest * 1e3


if __name__ == "__main__":
    main()
