"""A request that arrives in the moment in which its connection is told to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from app.http.direct import DirectConnection
from app.http.direct.wire import ClientSocket
from tests.app.http.harness import serving
from tests.app.http.support import REGISTER, post

if TYPE_CHECKING:
    import pytest


async def test_request_that_arrives_as_its_connection_times_out_is_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer could not be sent any more: a client that sends it again does it once."""
    connections: list[DirectConnection] = []
    serve, receive = DirectConnection.serve, ClientSocket.receive

    async def noted(self: DirectConnection) -> None:
        connections.append(self)
        await serve(self)

    async def overdue(self: ClientSocket) -> bytes:
        """Receive; the server notices that time is up when that is here, and not yet read."""
        data = await receive(self)
        for connection in connections:
            connection.check(trio.current_time() + 3600)
        return data

    monkeypatch.setattr(DirectConnection, "serve", noted)
    monkeypatch.setattr(ClientSocket, "receive", overdue)
    async with serving() as server:
        client = await server.connect()
        await client.send(post(f"Content-Length: {len(REGISTER)}", body=REGISTER))
        assert await client.read_to_end() == b""
        assert not server.world.asked
