"""Sets of network addresses, as written in a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

_MAPPED_BITS: Final = 96
"""How many leading bits of an IPv6 address mark the rest as an IPv4 address."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """A set of addresses and networks."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Addresses:
        """Parse ``127.0.0.1, 10.0.0.0/8, ::1``; ``::ffff:10.0.0.1`` means its IPv4 address.

        Raises:
            ValueError: a part is neither an address nor a network; the message names it.
        """
        parts = [part.strip() for part in text.split(",")]
        return cls(tuple(_unmapped(ip_network(part)) for part in parts if part))

    def __contains__(self, address: str) -> bool:
        """Whether an address is in the set; text that is not an address never is."""
        try:
            # An IPv6 address may name its network interface after a percent sign.
            found = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self.networks)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network that an IPv6 one maps (RFC 4291, 2.5.5.2), or the network itself."""
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        address = network.network_address.ipv4_mapped
        if address is not None:
            return IPv4Network((address, network.prefixlen - _MAPPED_BITS))
    return network
