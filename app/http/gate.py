"""What holds back a client that asks too often, and everybody while too much is in hand.

Both lanes pass here, first when a request's head is known and then when its caller is. What is
turned away has reached no actor and has had no effect.
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
"""How many addresses are remembered as they are limited; for one more, the oldest is forgotten."""

_IPV6_PREFIX: Final = 64
"""What one subscriber of IPv6 has to himself at least (RFC 6177): one address of many."""

_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Where addresses of IPv4 are in a network of IPv6 that translates (RFC 6052, RFC 7755)."""

_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""An address as some proxies write it; one of IPv6 with a port stands in brackets (RFC 3986)."""

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
        """Take the limits from the settings; the settings' own defaults hold nobody back.

        ``log`` is told, once each, what keeps clients behind a proxy from being told apart.
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
        # Event streams last, and behind a proxy no count of connections tells whose they are.
        self._streams = Places(settings.connections_per_address_max)
        self._once = _Once(log)
        # What an address is limited under, so that it is read once and not with every request.
        self._known: OrderedDict[str, str] = OrderedDict()

    def client_of(self, peer: str, headers: Headers) -> str:
        """Give the address that a request comes from, whose connection comes from ``peer``.

        Where that is a trusted proxy it is the last address in ``X-Forwarded-For`` that is none:
        what stands before that was said by the client itself.
        """
        passed_on = headers.all(b"x-forwarded-for")
        if not passed_on:
            return peer
        if not self._proxies.networks or peer not in self._proxies:
            self._once.warning("proxy_not_trusted", peer=peer)
            return peer
        return self._passed_on(peer, passed_on)

    def arrive(self, client: str) -> None:
        """Let a request in whose head is known, or not.

        Raises:
            TooManyInHand: the server has as many requests in hand as it takes.
            TooManyRequests: its address has used up what it may ask.
        """
        if self._in_hand >= self._in_hand_max:
            raise TooManyInHand
        if self._addresses is not None and client:
            self.take(self.limited_as(client))

    def take(self, limited_as: str) -> None:
        """Count one request for what an address is limited under.

        Raises:
            TooManyRequests: it has used up what it may ask.
        """
        if self._addresses is not None and limited_as:
            _take(self._addresses, limited_as)

    def limited_as(self, client: str) -> str:
        """Give what a client's address is limited under; empty where no such limit holds."""
        key = self._known.get(client)
        if key is None:
            key = self._known[client] = _limited_as(client, self._exempt)
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        return key

    def authorized(self, account_id: str) -> None:
        """Let a request in whose caller is known, or not.

        Raises:
            TooManyRequests: the account has used up what it may ask.
        """
        if self._accounts is not None:
            _take(self._accounts, account_id)

    def begin(self) -> None:
        """Count a request as in hand until `end`.

        Raises:
            TooManyInHand: there are as many as the server takes; then it is not counted.
        """
        if self._in_hand >= self._in_hand_max:
            raise TooManyInHand
        self._in_hand += 1

    def end(self) -> None:
        """Count a request as answered."""
        self._in_hand -= 1

    @property
    def in_hand_now(self) -> int:
        """How many requests are counted as in hand."""
        return self._in_hand

    @contextmanager
    def in_hand(self) -> Generator[None, None, None]:
        """Count a request as in hand while the context lasts.

        Raises:
            TooManyInHand: as `begin`.
        """
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin_stream(self, client: str) -> str:
        """Count an event stream of a client's address; give what `end_stream` is to be told.

        Of an address that connects by itself there are never more than it may have connections.

        Raises:
            TooManyStreams: there are as many of one address, which a proxy passes on, as it
                may have connections; then it is not counted.
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
                # Whoever wrote this knew no address: the proxy before is all that is known.
                shown = text[:_TOLD_CHARACTERS_MAX]
                self._once.warning("forwarded_address_unreadable", proxy=client, value=shown)
                break
            client = address
            if client not in self._proxies:
                break
        return client


class _Once:
    """Logs each event the first time alone: every request may be another."""

    __slots__ = ("_log", "_told")

    def __init__(self, log: FilteringBoundLogger | None) -> None:
        self._log = log
        self._told: set[str] = set()

    def warning(self, event: str, **fields: str) -> None:
        """Log a warning, unless this event was logged."""
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
    """Read an address, with or without a port; raises ValueError where it is none.

    One of IPv4 in the form of IPv6, as a proxy that listens on both may write it, is one of IPv4.
    """
    with_port = _WITH_PORT.fullmatch(text)
    address = ip_address(text if with_port is None else with_port[1] or with_port[2])
    return str(getattr(address, "ipv4_mapped", None) or address)


def _limited_as(client: str, exempt: Addresses) -> str:
    """Give what an address is limited under: itself, or its network of IPv6; empty if exempt.

    A server with IPv6 alone, behind a translator, sees all of IPv4 in one network: it is told
    apart.
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
