"""A floor: a minimal HTTP server on Trio's own sockets and httptools.

python bench/peers/trio_echo.py: prints its port, and ends when its standard input does. Every
request is parsed completely and answered with the same inventory.
"""

from __future__ import annotations

import socket
import sys
from functools import partial
from typing import Any

import httptools  # type: ignore[import-not-found, unused-ignore]
import trio

from bench.peers.null import ANSWER


class Reader:
    """Counts complete requests."""

    def __init__(self) -> None:
        self.complete = 0

    def on_message_complete(self) -> None:
        """Count one more."""
        self.complete += 1


async def serve(client: trio.SocketStream) -> None:
    """Answer one connection until it ends."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = Reader()
    parser: Any = httptools.HttpRequestParser(reader)
    async with client:
        async for piece in client:
            parser.feed_data(piece)
            count, reader.complete = reader.complete, 0
            if count:
                await client.send_all(ANSWER * count)


async def main() -> None:
    """Serve until standard input ends."""
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        print(listener.socket.getsockname()[1], flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
