"""Several hosts in a DSN: a silent one leaves time for the next."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
import trio

from actors.database.driver import open_database
from actors.database.errors import DatabaseUnavailable
from actors.database.hosts import Host, Hosts, NotReached, several_hosts
from tests.postgres import quiet_log

if TYPE_CHECKING:
    from trio.testing import MockClock

TWO = "postgresql://u@first,second:7/x"


def _takes_brackets_among_hosts() -> bool:
    try:
        urlsplit("postgresql://a,[::1]/x")
    except ValueError:
        return False
    return True


BRACKETS_AMONG_HOSTS = pytest.mark.skipif(
    not _takes_brackets_among_hosts(), reason="this Python takes such a DSN only with ?host="
)


class Reach:
    """A stand-in for the network: a host is silent or answers at once."""

    def __init__(self, *silent: str) -> None:
        self.silent = set(silent)
        self.asked: list[tuple[str, float]] = []

    async def __call__(self, host: Host | None, timeout_s: float) -> str:
        """Reach a host, or fail to in time."""
        self.asked.append((str(host), timeout_s))
        if str(host) in self.silent:
            await trio.sleep(timeout_s)
            raise NotReached("no answer")
        return str(host)


@pytest.mark.parametrize(
    ("dsn", "hosts"),
    [
        pytest.param(
            "postgresql://u:p@a,b:7,[::1]:8/x",
            (("a", None), ("b", 7), ("::1", 8)),
            marks=BRACKETS_AMONG_HOSTS,
        ),
        pytest.param(
            "postgresql://u@[::1],b/x", (("::1", None), ("b", None)), marks=BRACKETS_AMONG_HOSTS
        ),
        ("postgresql://u@/x?host=a,/srv/run&port=5,6", (("a", 5), ("/srv/run", 6))),
        ("postgresql://u@/x?host=a,b&port=5", (("a", 5), ("b", 5))),
        ("postgresql://u@/x?host=a,b", (("a", None), ("b", None))),
        ("postgresql://u@/x?host=a:5,b:6", (("a", 5), ("b", 6))),
        ("postgresql://u@/x?host=a:5,b&port=7", (("a", 7), ("b", 7))),
        ("postgresql://u@/x?host=[::1]:5,[::2],::3", (("::1", 5), ("::2", None), ("::3", None))),
        ("postgresql://u@/x?host=/srv/[a]:5,b", (("/srv/[a]:5", None), ("b", None))),
        ("postgresql://u@%2Fsrv%2Frun,b/x", (("/srv/run", None), ("b", None))),
        ("postgresql://u@a:7/x", ()),
        ("postgresql://u@/x?host=a&port=5", ()),
        ("postgresql://u@a,b/x?port=5", ()),
        ("postgresql://u@a,,b/x", ()),
        ("postgresql://u@/x?host=a,b&port=5,6,7", ()),
        ("postgresql://u@/x?host=a,b&port=five", ()),
        ("postgresql://u@/x?host=a:five,b", ()),
        ("postgresql:///x", ()),
        ("no DSN", ()),
    ],
)
def test_several_hosts(dsn: str, hosts: tuple[tuple[str, int | None], ...]) -> None:
    """Hosts come out with their ports; ambiguous forms are left to the driver."""
    assert several_hosts(dsn) == tuple(Host(*each) for each in hosts)


def test_several_hosts_whose_ports_the_environment_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Default ports, one per host, are left to the driver; they do not override the DSN."""
    monkeypatch.setenv("PGPORT", "5,6")
    assert several_hosts("postgresql://u@a,b/x") == ()
    assert several_hosts("postgresql://u@a:1,b:2/x") == (Host("a", 1), Host("b", 2))


async def test_first_shares_the_time_among_all(autojump_clock: MockClock) -> None:
    """A silent host takes its share and no more; unused time goes to those after it."""
    reach = Reach("first")
    assert await Hosts(TWO).first(reach, timeout_s=4) == "second:7"
    assert reach.asked == [("first", 2), ("second:7", 2)]
    assert trio.current_time() == pytest.approx(autojump_clock.current_time())


async def test_first_begins_with_the_one_that_was_reached_last(autojump_clock: MockClock) -> None:
    """After a failover, callers do not wait again and again for the host that is gone."""
    hosts, reach = Hosts(TWO), Reach("first")
    await hosts.first(reach, timeout_s=4)
    reach.asked.clear()
    assert await hosts.first(reach, timeout_s=4) == "second:7"
    assert reach.asked == [("second:7", 2)]
    reach.silent = {"second:7"}
    assert await hosts.first(reach, timeout_s=4) == "first"
    assert autojump_clock.current_time() >= 2


async def test_first_tells_why_of_each(autojump_clock: MockClock) -> None:
    """If none is reached, the error says which host gave which reason."""
    with pytest.raises(NotReached, match=r"^first: no answer; second:7: no answer$"):
        await Hosts(TWO).first(Reach("first", "second:7"), timeout_s=4)
    assert autojump_clock.current_time() >= 4


async def test_first_of_one_host_has_all_the_time() -> None:
    """A DSN that does not name several hosts is passed on as it is."""
    reach = Reach()
    assert await Hosts("postgresql://only/x").first(reach, timeout_s=4) == "None"
    assert reach.asked == [("None", 4)]


async def test_connect_past_a_host_that_is_silent(database_dsn: str) -> None:
    """A host that accepts connections and stays silent, as a hung one does, hides no other."""
    directory, _, rest = database_dsn.partition("host=")[2].partition("&")
    [silent] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = silent.socket.getsockname()[1]
    name = database_dsn.partition("@/")[2].partition("?")[0]
    ports = f"{port},{rest.partition('port=')[2]}"
    dsn = f"postgresql://postgres@/{name}?host=127.0.0.1,{quote(directory)}&port={ports}"
    async with silent, open_database(dsn, connect_timeout_s=1, log=quiet_log()) as database:
        for _ in range(2):
            connection = await database.connect(name="test")
            assert await connection.run(lambda session: session.fetchval("select 1")) == 1
        with pytest.raises(DatabaseUnavailable, match=rf"127\.0\.0\.1:{port}: no answer within"):
            await _connect(f"postgresql://postgres@127.0.0.1:{port},127.0.0.1:1/{name}")


async def test_connect_past_an_address_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name has two addresses, one that drops every packet does not hide the other."""
    silent, reached = socket.socket(), socket.socket()
    with silent, reached, ExitStack() as waiting:
        silent.bind(("127.0.0.1", 0))
        # Linux drops connections behind the first in such a queue, as a dead network drops all.
        silent.listen(0)
        for _ in range(2):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(silent.getsockname())
        reached.bind(("127.0.0.1", 0))
        reached.listen()
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", each.getsockname())
            for each in (silent, reached)
        ]

        def resolve(*_: object, **__: object) -> list[object]:
            return [*found]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        with pytest.raises(DatabaseUnavailable):
            await _connect("postgresql://u@name/x", timeout_s=1.0)
        reached.settimeout(0.1)
        with reached.accept()[0] as asked:
            assert asked.recv(8) == struct.pack("!ll", 8, 80877103)  # whether it speaks TLS


async def _connect(dsn: str, timeout_s: float = 0.2) -> None:
    async with open_database(dsn, connect_timeout_s=timeout_s, log=quiet_log()) as database:
        await database.connect(name="test")
