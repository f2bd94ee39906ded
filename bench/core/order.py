"""An authenticated durable order, and a cached read, inside the process: without HTTP.

    .venv/bin/python bench/core/order.py [--in-flight 256] [--each 16] [--profile]

Each of ``--in-flight`` tasks asks for one thing after another, as the HTTP front would: the token
is verified, then the account's Inventory is asked. What is reported as CPU time is this process's,
without PostgreSQL's; the floor of an order is in commit.py, that of an ask in messages.py.
"""

from __future__ import annotations

import cProfile
import itertools
import pstats
from typing import TYPE_CHECKING

import trio

from actors.inventory.messages import PlaceOrder
from bench.core.figures import Report, parser, per_second, rounds_of
from bench.core.stage import open_stage

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Iterator

    from bench.core.stage import Stage

    Ask = Callable[[Stage, str, int], Awaitable[None]]

FINGERPRINT = b"\x00" * 16
PROFILE_LINES = 45


async def order(stage: Stage, token: str, number: int) -> None:
    """Place one order; returns when it is durable."""
    caller = await stage.gateway.authorize(token)
    command = PlaceOrder(
        caller.account_id, f"cart{1 + number % 8}", 1, f"order-{number:012d}", FINGERPRINT
    )
    await stage.gateway.inventory(command)


async def read(stage: Stage, token: str, _number: int) -> None:
    """Read an inventory that is in memory."""
    caller = await stage.gateway.authorize(token)
    await stage.gateway.look(caller.account_id)


async def ask_all(
    stage: Stage, ask: Ask, in_flight: int, each: int, numbers: Iterator[int]
) -> None:
    """Ask ``each`` times in each of ``in_flight`` tasks, of one account after another."""
    tokens = [token for _, token in stage.tokens]

    async def worker(first: int) -> None:
        for step in range(each):
            await ask(stage, tokens[(first + step * in_flight) % len(tokens)], next(numbers))

    async with trio.open_nursery() as nursery:
        for first in range(in_flight):
            nursery.start_soon(worker, first)


async def measure(options: argparse.Namespace) -> Report:
    """Take the figures."""
    report = Report("an order and a read inside the process")
    numbers = itertools.count()
    async with open_stage(accounts=options.accounts, sessions=options.accounts) as stage:
        # Every account is brought to life first, and every token seen once.
        warm = -(-options.accounts // options.in_flight)
        await ask_all(stage, order, options.in_flight, warm, numbers)
        for name, ask, each in (
            ("authenticated cached read", read, 2 * options.each),
            ("authenticated durable order", order, options.each),
        ):

            async def run(ask: Ask = ask, each: int = each) -> None:
                await ask_all(stage, ask, options.in_flight, each, numbers)

            rounds = await rounds_of(run, options.rounds)
            label = f"{name}, {options.in_flight} in flight"
            report.add(per_second(label, options.in_flight * each, rounds))
            if options.profile:
                await profile(run)
    return report


async def profile(run: Callable[[], Awaitable[None]]) -> None:
    """Run it once more under the profiler, which makes everything slower, and print."""
    profiler = cProfile.Profile()
    profiler.enable()
    await run()
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(PROFILE_LINES)


def main() -> None:
    """Run it as a command."""
    made = parser(__doc__)
    made.add_argument("--in-flight", type=int, default=256)
    made.add_argument("--each", type=int, default=16, help="orders of each task in each round")
    made.add_argument("--accounts", type=int, default=4_096)
    made.add_argument("--profile", action="store_true", help="and where the time goes (cProfile)")
    options = made.parse_args()
    trio.run(measure, options).write(options.json)


if __name__ == "__main__":
    main()
