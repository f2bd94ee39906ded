"""What many tests of connections send to a server, or have it answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.http.asgi.edge import Receive, Scope, Send
    from tests.app.http.harness import Serving

REGISTER = b'{"username":"ada","password":"correct horse"}'


@dataclass(frozen=True)
class Flood:
    """An application whose answer is larger than every buffer between it and a client."""

    size: int = 64 * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with zeros."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(self.size)})


def post(*headers: str, body: bytes = b"") -> bytes:
    """Spell out a request with a body."""
    return (
        "\r\n".join(["POST /v1/accounts HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")
        + body
    )


async def alive(server: Serving) -> bool:
    """Whether the server still serves others."""
    return (await server.client.get("/healthz")).status_code == 200
