"""The hosts of a DSN that names several: asked one after the other, each for its share of the time.

Of several hosts one may have lost its power or its network, and says nothing: left to the driver,
the first of that kind takes all the time there is, and the next is never asked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import trio

from actors.database.dsn import is_dsn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.database.session import T


class NotReached(Exception):
    """A host gave no connection, or not one that was asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Host:
    """One of several hosts; without a ``port``, the default one."""

    name: str
    port: int | None

    def __str__(self) -> str:
        """Tell it as a DSN does."""
        name = f"[{self.name}]" if ":" in self.name and not self.name.startswith("/") else self.name
        return name if self.port is None else f"{name}:{self.port}"


class Hosts:
    """The hosts of one DSN, beginning with the one that was reached last."""

    def __init__(self, dsn: str) -> None:
        self._hosts = several_hosts(dsn)

    async def first(
        self, reach: Callable[[Host | None, float], Awaitable[T]], *, timeout_s: float
    ) -> T:
        """Give what ``reach`` gives of the first host that it reaches, in ``timeout_s`` altogether.

        ``reach`` gets the host, None for whatever the DSN says, and how long it may take.

        Raises:
            NotReached: none was; the text tells why of each.
        """
        if not self._hosts:
            return await reach(None, timeout_s)
        deadline = trio.current_time() + timeout_s
        reasons: list[str] = []
        for asked, host in enumerate(self._hosts):
            share_s = (deadline - trio.current_time()) / (len(self._hosts) - asked)
            try:
                found = await reach(host, max(0.0, share_s))
            except NotReached as failure:
                reasons.append(f"{host}: {failure}")
            else:
                self._hosts = (host, *(other for other in self._hosts if other != host))
                return found
        raise NotReached("; ".join(reasons))


def several_hosts(dsn: str) -> tuple[Host, ...]:
    """Take the hosts out of a DSN; none where it names fewer than two, or what they are is open."""
    named = _named_hosts(dsn) if is_dsn(dsn) else []
    if not named[1:] or not all(name and _is_port(port) for name, port in named):
        return ()
    if "," in os.environ.get("PGPORT", "") and not all(port for _, port in named):
        # A default port for each of them, which one alone could not take.
        return ()
    return tuple(Host(name, int(port) if port else None) for name, port in named)


def _named_hosts(dsn: str) -> list[tuple[str, str]]:
    """Give each host and its port as a DSN names them in its place or in its query, not in both."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    place = parts.netloc.rpartition("@")[2]
    if place and not {"host", "port"} & query.keys():
        return [(unquote(name), port) for name, port in map(_named, place.split(","))]
    if "host" in query and not place:
        return _queried_hosts(query["host"][-1], query.get("port", [""])[-1])
    return []


def _queried_hosts(hosts: str, ports: str) -> list[tuple[str, str]]:
    """Give them as a query names them: one port for all, or one for each."""
    named = [*map(_named, hosts.split(","))]
    told = ports.split(",")
    if len(told) not in {1, len(named)}:
        return []
    # Told for all of them, they go before what a host has behind its name.
    each = told * (len(named) // len(told))
    return [(name, port or own) for (name, own), port in zip(named, each, strict=True)]


def _named(text: str) -> tuple[str, str]:
    """Tell a host's name from its port; the path of a socket has none, nor a bare IPv6 address."""
    bracketed = text.startswith("[")
    if text.startswith("/") or text.endswith("]") or (text.count(":") > 1 and not bracketed):
        name, port = text, ""
    else:
        name, port = text.rpartition(":")[::2] if ":" in text else (text, "")
    return name.strip("[]") if bracketed else name, port


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())
