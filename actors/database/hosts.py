"""The hosts of a DSN that names several: tried one after the other, each for its share of the time.

Of several hosts one may have lost its power or its network, and be silent: left to the driver,
the first such host would use up all the time, and the next would never be tried.
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
    """A host gave no connection, or not a suitable one; the text says why."""


@dataclass(frozen=True, slots=True)
class Host:
    """One of several hosts; without a ``port``, on the default one."""

    name: str
    port: int | None

    def __str__(self) -> str:
        """Format it as in a DSN."""
        name = f"[{self.name}]" if ":" in self.name and not self.name.startswith("/") else self.name
        return name if self.port is None else f"{name}:{self.port}"


class Hosts:
    """The hosts of one DSN, starting with the one reached last."""

    def __init__(self, dsn: str) -> None:
        self._hosts = several_hosts(dsn)

    async def first(
        self, reach: Callable[[Host | None, float], Awaitable[T]], *, timeout_s: float
    ) -> T:
        """Return ``reach``'s result for the first host it reaches, within ``timeout_s`` in total.

        ``reach`` gets the host, None for whatever the DSN says, and how long it may take.

        Raises:
            NotReached: none was reached; the text gives each one's reason.
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
    """Parse the hosts of a DSN; empty if it names fewer than two, or they are ambiguous."""
    named = _named_hosts(dsn) if is_dsn(dsn) else []
    if not named[1:] or not all(name and _is_port(port) for name, port in named):
        return ()
    if "," in os.environ.get("PGPORT", "") and not all(port for _, port in named):
        # A separate default port for each of them, which no single one could take.
        return ()
    return tuple(Host(name, int(port) if port else None) for name, port in named)


def _named_hosts(dsn: str) -> list[tuple[str, str]]:
    """Return each host and port that a DSN names, in the usual place or in its query, not both."""
    parts = urlsplit(dsn)
    query = parse_qs(parts.query)
    place = parts.netloc.rpartition("@")[2]
    if place and not {"host", "port"} & query.keys():
        return [(unquote(name), port) for name, port in map(_named, place.split(","))]
    if "host" in query and not place:
        return _queried_hosts(query["host"][-1], query.get("port", [""])[-1])
    return []


def _queried_hosts(hosts: str, ports: str) -> list[tuple[str, str]]:
    """Return the hosts named in a query: one port for all, or one for each."""
    named = [*map(_named, hosts.split(","))]
    told = ports.split(",")
    if len(told) not in {1, len(named)}:
        return []
    # Ports in the query take precedence over a port after a host's name.
    each = told * (len(named) // len(told))
    return [(name, port or own) for (name, own), port in zip(named, each, strict=True)]


def _named(text: str) -> tuple[str, str]:
    """Split a host's name from its port; a socket's path and a bare IPv6 address have none."""
    bracketed = text.startswith("[")
    if text.startswith("/") or text.endswith("]") or (text.count(":") > 1 and not bracketed):
        name, port = text, ""
    else:
        name, port = text.rpartition(":")[::2] if ":" in text else (text, "")
    return name.strip("[]") if bracketed else name, port


def _is_port(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit())
