"""Backups over TLS, which PostgreSQL's programs cannot do by themselves."""

from __future__ import annotations

import gc
import ssl
import stat
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
import trio
import trustme

from actors.database.backup import back_up
from actors.database.driver import open_database
from actors.database.errors import BackupError
from actors.database.restore import restore
from actors.database.tools import Target, run_tool
from actors.database.tunnel import dsn_for_programs
from tests.postgres import quiet_log, run_script

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.postgres import PostgresServer

_FILL = "insert into world values ('w', gen_random_uuid(), 7, 8, 'rules', 9)"

_ASK_FOR_TLS = bytes((0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F))


class Encrypted:
    """A stand-in for a server that demands TLS: it forwards to a server that does not.

    Where it ``refuses``, it accepts no more handshakes.
    """

    def __init__(self, dsn: str, authority: trustme.CA) -> None:
        query = parse_qs(urlsplit(dsn).query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.tempfile() as file:
            self._context.load_cert_chain(file)
        self.refuses = False

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            asked = await stream.receive_some(8)
            if self.refuses or asked != _ASK_FOR_TLS:
                await stream.aclose()
                return
            await stream.send_all(b"S")
            near = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
            far = await trio.open_unix_socket(self._socket)
            async with near, far, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, near, far, nursery.cancel_scope)
                nursery.start_soon(_pump, far, near, nursery.cancel_scope)


async def _pump(source: trio.abc.Stream, sink: trio.abc.Stream, both: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError):
        while piece := await source.receive_some(65536):
            await sink.send_all(piece)
    both.cancel()


@asynccontextmanager
async def encrypted(
    dsn: str, directory: Path, query: str
) -> AsyncGenerator[tuple[Encrypted, str], None]:
    """Put one before a database; yield the DSN that leads through it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    server = Encrypted(dsn, authority)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, server.handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        name = urlsplit(dsn).path
        ca = directory / "ca.pem"
        yield server, f"postgresql://postgres@127.0.0.1:{port}{name}?{query.format(ca=ca)}"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("query", ["sslmode=verify-full&sslrootcert={ca}", "sslmode=require", ""])
async def test_backup_and_restore_over_tls(
    postgres: PostgresServer, tmp_path: Path, query: str
) -> None:
    """A server that admits nobody without TLS is backed up, and restored to."""
    dsn = await postgres.create_database_async()
    await run_script(dsn, lambda session: session.execute(_FILL))
    file = tmp_path / "world.dump"
    async with (
        encrypted(dsn, tmp_path, query) as (_, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        async with dsn_for_programs(connection, outer) as reachable:
            await back_up(reachable, file)
            await connection.run(lambda session: session.execute("update world set tick = 0"))
            await restore(connection, reachable, file, replace=True, log=quiet_log())
    assert await run_script(dsn, lambda session: session.fetchval("select tick from world")) == 7


@pytest.mark.parametrize(
    "said",
    [
        {"PGSSLNEGOTIATION": "direct"},
        {"PGHOSTADDR": "127.0.0.1"},
        {"PGREQUIREPEER": "somebody"},
        {"PGSSLROOTCERT": "system", "PGCHANNELBINDING": "require"},
        {"PGSSLCERTMODE": "require", "PGGSSENCMODE": "require"},
    ],
    ids=lambda said: next(iter(said)),
)
async def test_environment_that_tells_of_the_server(
    said: dict[str, str], postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No environment setting about the server leads a program past the socket."""
    dsn = await postgres.create_database_async()
    async with (
        encrypted(dsn, tmp_path, "sslmode=require") as (_, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        async with dsn_for_programs(connection, outer) as reachable:
            await back_up(reachable, tmp_path / "world.dump")


@pytest.mark.parametrize("name", ["x" * 100, "a,b"])
async def test_temporary_directory_where_no_socket_can_be(
    name: str, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is made elsewhere, for its user alone, and goes with the block."""
    dsn = await postgres.create_database_async()
    (tmp_path / name).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
    async with (
        encrypted(dsn, tmp_path, "sslmode=require") as (_, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        async with dsn_for_programs(connection, outer) as reachable:
            await back_up(reachable, tmp_path / "world.dump")
            [directory] = map(Path, parse_qs(urlsplit(reachable).query)["host"])
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not directory.exists()


async def test_options_of_the_dsn_reach_the_programs(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """If the DSN sets something for its sessions, it is set for PostgreSQL's programs too."""
    dsn = await postgres.create_database_async()
    shown = tmp_path / "shown"
    async with (
        encrypted(dsn, tmp_path, "options=-c%20geqo_threshold%3D7") as (_, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        assert await connection.run(lambda session: session.fetchval("show geqo_threshold")) == "7"
        async with dsn_for_programs(connection, outer) as reachable:
            target = Target.of(reachable)
            with shown.open("wb") as out:
                show = ("--tuples-only", "--command=show geqo_threshold")
                await run_tool(
                    "psql",
                    *show,
                    f"--dbname={target.dsn}",
                    environment=target.environment,
                    stdout=out.fileno(),
                )
    assert shown.read_text().strip() == "7"


async def test_server_that_takes_no_more_is_an_error(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """If the server has gone meanwhile, the program ends, and says so."""
    dsn = await postgres.create_database_async()
    async with (
        encrypted(dsn, tmp_path, "sslmode=require") as (server, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        async with dsn_for_programs(connection, outer) as reachable:
            server.refuses = True
            with pytest.raises(BackupError, match="server closed the connection unexpectedly"):
                await back_up(reachable, tmp_path / "world.dump")


async def test_block_that_ends_closes_what_is_under_way(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """A connection that a program still holds is closed with the block, on both sides."""
    dsn = await postgres.create_database_async()
    async with (
        encrypted(dsn, tmp_path, "sslmode=require") as (_, outer),
        open_database(outer, log=quiet_log()) as database,
    ):
        connection = await database.connect(name="test")
        async with dsn_for_programs(connection, outer) as reachable:
            [directory] = parse_qs(urlsplit(reachable).query)["host"]
            near = await trio.open_unix_socket(f"{directory}/.s.PGSQL.5432")
            await near.send_all(_ASK_FOR_TLS)
            # Over a socket the database has none, and says so: the whole path is open.
            assert await near.receive_some(1) == b"N"
        async with near:
            assert await near.receive_some(1) == b""
        # A socket left to it is a warning.
        gc.collect()


async def test_dsn_of_a_line_in_the_clear_is_what_it_was(database_dsn: str) -> None:
    """Where no tunnel is needed, nothing stands between."""
    async with open_database(database_dsn, log=quiet_log()) as database:
        connection = await database.connect(name="test")
        async with dsn_for_programs(connection, database_dsn) as reachable:
            assert reachable == database_dsn
