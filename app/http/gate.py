"""Rate limits for each client, and backpressure for all while too much is in flight.

Both lanes pass here, first when a request's head is known and then when its caller is. A refused
request has reached no actor and has had no effect.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

import trio

from actors.places import Places
from app.http.bodies import BodyRoom
from app.http.buckets import Buckets
from app.http.errors import TooManyInHand, TooManyRequests, TooManyStreams
from app.http.settings import HttpSettings

if TYPE_CHECKING:
    from collections.abc import Generator

    from structlog.typing import FilteringBoundLogger

    from app.http.addresses import Addresses
    from app.http.exchange import Headers

KEYS_MAX: Final = 100_000
"""How many accounts, and how many addresses, are remembered."""

_KNOWN_MAX: Final = 10_000
"""How many addresses have their limit key cached; beyond that the oldest is evicted."""

_IPV6_PREFIX: Final = 64
"""The smallest network that one IPv6 subscriber gets (RFC 6177), as a prefix length."""

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Where a translating IPv6 network puts IPv4 addresses (RFC 6052, RFC 7755)."""

_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""An address as some proxies write it; IPv6 with a port is in brackets (RFC 3986)."""

_TOLD_CHARACTERS_MAX: Final = 64


class Gate:
    """The limits of one HTTP front."""

    __slots__ = (
        "_accounts",
        "_addresses",
        "_exempt",
        "_in_hand",
        "_in_hand_max",
        "_known",
        "_once",
        "_proxies",
        "_streams",
        "bodies",
    )

    def __init__(
        self, settings: HttpSettings | None = None, *, log: FilteringBoundLogger | None = None
    ) -> None:
        """Take the limits from the settings, whose own defaults limit nothing.

        ``log`` gets, once each, warnings of why clients behind a proxy cannot be told apart.
        """
        settings = settings or HttpSettings()
        self._accounts = _buckets(
            settings.requests_per_second_per_account, settings.burst_per_account
        )
        self._addresses = _buckets(
            settings.requests_per_second_per_address, settings.burst_per_address
        )
        self._exempt = settings.exempt_addresses
        self._proxies = settings.trusted_proxies
        self._in_hand = 0
        self._in_hand_max = settings.in_flight_max
        self.bodies = BodyRoom(settings.bodies_in_flight_max_bytes)
        # Event streams last, and behind a proxy counting connections does not bound a client's.
        self._streams = Places(settings.connections_per_address_max)
        self._once = _Once(log)
        # The limit key of each address, so that it is not parsed with every request.
        self._known: OrderedDict[str, str] = OrderedDict()

    def client_of(self, peer: str, headers: Headers) -> str:
        """Return the client's address of a request whose connection comes from ``peer``.

        If ``peer`` is a trusted proxy, it is the last address in ``X-Forwarded-For`` that is not
        one: anything before that was supplied by the client itself.
        """
        passed_on = headers.all(b"x-forwarded-for")
        if not passed_on:
            return peer
        if not self._proxies.networks or peer not in self._proxies:
            self._once.warning("proxy_not_trusted", peer=peer)
            return peer
        return self._passed_on(peer, passed_on)

    def arrive(self, client: str) -> None:
        """Admit a request whose head is known, or refuse it.

        Raises:
            TooManyInHand: the server has its maximum of requests in flight.
            TooManyRequests: its address has exhausted its rate.
        """
        if self._in_hand >= self._in_hand_max:
            raise TooManyInHand
        if self._addresses is not None and client:
            limited_as = self.limited_as(client)
            if limited_as:
                _take(self._addresses, limited_as)

    def take(self, limited_as: str) -> None:
        """Count one request for a limit key (see `limited_as`).

        Raises:
            TooManyRequests: the key has exhausted its rate.
        """
        if self._addresses is not None and limited_as:
            _take(self._addresses, limited_as)

    def limited_as(self, client: str) -> str:
        """Return the limit key of a client's address; empty if no limit applies to it."""
        key = self._known.get(client)
        if key is None:
            key = self._known[client] = _limited_as(client, self._exempt)
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        return key

    def authorized(self, account_id: str) -> None:
        """Admit a request whose caller is known, or refuse it.

        Raises:
            TooManyRequests: the account has exhausted its rate.
        """
        if self._accounts is not None:
            _take(self._accounts, account_id)

    def begin(self) -> None:
        """Count a request as in flight until `end`.

        Raises:
            TooManyInHand: the maximum is reached; the request is not counted.
        """
        if self._in_hand >= self._in_hand_max:
            raise TooManyInHand
        self._in_hand += 1

    def end(self) -> None:
        """Count a request as answered."""
        self._in_hand -= 1

    @property
    def in_hand_now(self) -> int:
        """How many requests are counted as in flight."""
        return self._in_hand

    @contextmanager
    def in_hand(self) -> Generator[None, None, None]:
        """Count a request as in flight while the context lasts.

        Raises:
            TooManyInHand: as `begin`.
        """
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin_stream(self, client: str) -> str:
        """Count an event stream of a client's address; return the key for `end_stream`.

        An address that connects directly can never have more streams than connections.

        Raises:
            TooManyStreams: an address behind a proxy has as many streams as it may have
                connections; this one is not counted.
        """
        key = "" if client in self._proxies else self.limited_as(client)
        if not self._streams.take(key):
            raise TooManyStreams(self._streams.most, "one address")
        return key

    def end_stream(self, key: str) -> None:
        """Count an event stream as over."""
        self._streams.give_back(key)

    def _passed_on(self, peer: str, values: list[bytes]) -> str:
        client = peer
        for value in reversed(b",".join(values).split(b",")):
            text = value.strip().decode("latin-1")
            try:
                address = _address(text)
            except ValueError:
                # Not an address: the proxy that sent this value is all that is known.
                shown = text[:_TOLD_CHARACTERS_MAX]
                self._once.warning("forwarded_address_unreadable", proxy=client, value=shown)
                break
            client = address
            if client not in self._proxies:
                break
        return client


class _Once:
    """Logs each event only the first time: every request might bring another."""

    __slots__ = ("_log", "_told")

    def __init__(self, log: FilteringBoundLogger | None) -> None:
        self._log = log
        self._told: set[str] = set()

    def warning(self, event: str, **fields: str) -> None:
        """Log a warning, unless this event was logged before."""
        if self._log is not None and event not in self._told:
            self._told.add(event)
            self._log.warning(event, **fields)


def _buckets(per_second: int, burst: int) -> Buckets | None:
    if not per_second or not burst:
        return None
    return Buckets(per_second=per_second, burst=burst, keys_max=KEYS_MAX)


def _take(buckets: Buckets, key: str) -> None:
    wait_s = buckets.take(key, trio.current_time())
    if wait_s:
        raise TooManyRequests(math.ceil(wait_s))


def _address(text: str) -> str:
    """Parse an address, with or without a port; raises ValueError if it is not one.

    An IPv4-mapped IPv6 address, as a proxy that listens on both may write it, becomes IPv4.
    """
    with_port = _WITH_PORT.fullmatch(text)
    address = ip_address(text if with_port is None else with_port[1] or with_port[2])
    return str(getattr(address, "ipv4_mapped", None) or address)


def _limited_as(client: str, exempt: Addresses) -> str:
    """Return the limit key of an address: itself, or its IPv6 network; empty if exempt.

    An IPv6-only server behind a translator sees all of IPv4 in one network: those addresses have a
    key each.
    """
    if client in exempt:
        return ""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if not isinstance(address, IPv6Address) or address.ipv4_mapped is not None:
        return client
    if address in _TRANSLATED:
        return str(IPv4Address(address.packed[-4:]))
    return str(ip_network((address, _IPV6_PREFIX), strict=False))
