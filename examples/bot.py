"""A bot that always builds what it can afford soonest: bot.py URL USERNAME PASSWORD."""

import sys
from contextlib import suppress

import trio

from holdfast_client import Client, Refused, Session


async def choose(session: Session, assets: list[str]) -> tuple[float, str | None]:
    """Find what can be afforded soonest: in how many seconds, and what."""
    now = (await session.inventory()).at
    waits: list[tuple[float, str | None]] = [(60.0, None)]
    for asset in assets:
        with suppress(Refused):  # its highest level is reached
            quote = await session.quote(asset)
            if quote.affordable_at is not None and not quote.missing:
                waits.append(((quote.affordable_at - now).total_seconds(), asset))
    return min(waits, key=lambda each: each[0])


async def play(url: str, username: str, password: str) -> None:
    """Build for as long as the session lasts."""
    async with Client(url) as client:
        with suppress(Refused):  # the account exists already
            await client.register(username, password)
        session = await client.log_in(username, password)
        buildings = (await client.ruleset()).buildings
        assets = [name for building in buildings.values() for name in building.instances]
        async with session.events() as events:
            while True:
                wait_s, asset = await choose(session, assets)
                if asset is not None and wait_s <= 0:
                    with suppress(Refused):  # the queue is full: the next event frees it
                        print("ordered", (await session.order(asset)).asset, flush=True)
                with trio.move_on_after(max(wait_s, 1.0)):
                    print("heard of", (await anext(events)).name, flush=True)


if __name__ == "__main__":
    trio.run(play, sys.argv[1], sys.argv[2], sys.argv[3])
