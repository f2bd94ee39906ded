"""What many tests of connections send to a server, or make it answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.pages import File

if TYPE_CHECKING:
    from tests.app.http.harness import Serving

REGISTER = b'{"username":"ada","password":"correct horse"}'


def flooding(size: int = 64 * 1024 * 1024) -> dict[str, File]:
    """Make a page, ``/flood``, that is larger than every buffer between a server and a client."""
    return {"/flood": File(bytes(size), b'"flood"', ())}


def post(*headers: str, body: bytes = b"", path: str = "/v1/accounts") -> bytes:
    """Write out a request with a body."""
    return (
        "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1") + body
    )


async def alive(server: Serving) -> bool:
    """Return whether the server still serves others."""
    return (await server.client.get("/healthz")).status_code == 200
