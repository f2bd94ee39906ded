"""A way over TLS for PostgreSQL's own programs, which are built without it.

They talk to a socket that nobody else may open, and their traffic goes on to the server encrypted
and verified exactly as on a connection that the driver made before.
"""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import trio

from actors.database.dsn import can_be_socket

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from actors.database.driver import Connection

_PORT: Final = 5432
_TO_THE_SOCKET: Final = MappingProxyType(
    {
        "hostaddr": "",
        "requirepeer": "",
        "sslmode": "disable",
        "sslnegotiation": "postgres",
        "sslrootcert": "",
        "sslcertmode": "disable",
        "channel_binding": "disable",
        "gssencmode": "disable",
    }
)
"""Overrides settings in the environment that suit the way to the server but not the socket."""

_ASK_FOR_TLS: Final = bytes((0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F))
_SHORT: Final = "/tmp"  # noqa: S108 - a directory of our own is made in it
_PIECE_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """How an encrypted connection reached its server, and as which user."""

    host: str
    port: int
    context: ssl.SSLContext = field(repr=False)
    direct: bool
    user: str
    password: str = field(repr=False)
    database: str

    @classmethod
    def of(cls, raw: Any) -> Line | None:
        """Read it from an asyncpg connection; None if that is not encrypted."""
        if raw._transport.get_extra_info("ssl_object") is None:  # noqa: SLF001 - no public way
            return None
        told = raw._params  # noqa: SLF001
        host, port = raw._addr  # noqa: SLF001
        direct = told.ssl_negotiation.value == "direct"
        return cls(host, port, told.ssl, direct, told.user, told.password or "", told.database)

    def dsn(self, directory: str, options: str = "") -> str:
        """Return the DSN of a socket in ``directory`` that leads there."""
        user, password, database = (
            quote(each, safe="") for each in (self.user, self.password, self.database)
        )
        told = {"host": directory, "port": str(_PORT), **_TO_THE_SOCKET}
        query = urlencode({**told, "options": options} if options else told, quote_via=quote)
        return f"postgresql://{user}:{password}@/{database}?{query}"


@asynccontextmanager
async def dsn_for_programs(connection: Connection, dsn: str) -> AsyncGenerator[str]:
    """Yield the DSN by which PostgreSQL's programs reach what ``connection`` reaches by ``dsn``.

    It is valid for the length of the block; if it is another DSN, the block's end also ends what is
    in progress on it. The connection may be closed meanwhile.

    Raises:
        OSError: no socket can be created for it.
    """
    line = connection.line()
    if line is None:
        yield dsn
        return
    options = parse_qs(urlsplit(dsn).query).get("options", [""])[-1]
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-", dir=_place()) as directory,
        trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as socket,
    ):
        await socket.bind(str(Path(directory) / f".s.PGSQL.{_PORT}"))
        socket.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, line, socket)
            yield line.dsn(directory, options)
            nursery.cancel_scope.cancel()


def _place() -> str:
    """Return where to create the socket's directory: usually where temporary files are."""
    usual = tempfile.gettempdir()
    longest = f"{usual}/holdfast-12345678/.s.PGSQL.{_PORT}"
    return usual if can_be_socket(longest) else _SHORT


async def _serve(line: Line, socket: trio.socket.SocketType) -> None:
    async with trio.open_nursery() as nursery:
        while True:
            near, _ = await socket.accept()
            nursery.start_soon(_carry, line, trio.SocketStream(near))


async def _carry(line: Line, near: trio.SocketStream) -> None:
    """Carry one connection; if the server is unreachable it ends, and its program says so."""
    far: trio.abc.Stream | None = None
    try:
        with suppress(OSError, trio.BrokenResourceError):
            far = await _encrypted(line)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, near, far, nursery.cancel_scope)
                nursery.start_soon(_pump, far, near, nursery.cancel_scope)
    finally:
        # With a pending cancellation the second close would never be reached.
        with trio.CancelScope(shield=True):
            for stream in (near, far):
                if stream is not None:
                    await trio.aclose_forcefully(stream)


async def _encrypted(line: Line) -> trio.SSLStream[trio.SocketStream]:
    """Connect with TLS; a server that refuses gets nothing that it could not read anyway."""
    tcp = await trio.open_tcp_stream(line.host, line.port)
    far = trio.SSLStream(tcp, line.context, server_hostname=line.host, https_compatible=True)
    try:
        if not line.direct:
            await tcp.send_all(_ASK_FOR_TLS)
            # Any other answer is not a handshake.
            await tcp.receive_some(1)
        await far.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(tcp)
        raise
    return far


async def _pump(
    source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, both: trio.CancelScope
) -> None:
    """Copy data until one side ends: then all of it has been passed on."""
    with suppress(trio.BrokenResourceError):
        while piece := await source.receive_some(_PIECE_BYTES):
            await sink.send_all(piece)
    both.cancel()
