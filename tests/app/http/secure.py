"""The client's side of TLS in the tests."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import trustme


async def encrypted(
    plain: trio.SocketStream, authority: trustme.CA
) -> trio.SSLStream[trio.SocketStream]:
    """Shake hands as a client that trusts an authority."""
    # Leaves out the system's authorities, which take longer to load than the handshake.
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    await stream.do_handshake()
    return stream
