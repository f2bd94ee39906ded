"""Sets of network addresses, as somebody writes them into a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED_BITS: Final = 96
"""How many bits of an IPv6 address say that the rest of it is one of IPv4."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Some addresses and networks."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Addresses:
        """Read ``127.0.0.1, 10.0.0.0/8, ::1``; ``::ffff:10.0.0.1`` is the IPv4 address in it.

        Raises:
            ValueError: a part of it is neither an address nor a network; the message names it.
        """
        parts = [part.strip() for part in text.split(",")]
        return cls(tuple(_unmapped(ip_network(part)) for part in parts if part))

    def __contains__(self, address: str) -> bool:
        """Whether an address is one of them; what is no address is not."""
        try:
            # An IPv6 address may name its network interface after a percent sign.
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Give the network of IPv4 that one of IPv6 stands for (RFC 4291, 2.5.5.2), or itself."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return IPv4Network((address, network.prefixlen - _MAPPED_BITS))
    return network
