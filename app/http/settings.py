"""The settings of the HTTP front, filled from the configuration, ``http.<name>``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from app.http.addresses import Addresses

if TYPE_CHECKING:
    from pathlib import Path

PORT_MAX = 65_535
"""The largest TCP port."""

_MAY_BE_ZERO = frozenset(
    {
        "port",
        "requests_per_second_per_account",
        "burst_per_account",
        "requests_per_second_per_address",
        "burst_per_address",
    }
)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Address, limits and timeouts of the HTTP front, each with its unit in its name.

    - ``port``: 0 lets the system pick a free one.
    - ``fast_lane``: serve connections directly; off, Hypercorn and Quart do.
    - ``tls``: the files of a certificate and its key; without them nothing is encrypted.
    - ``security_headers``: tell browsers to trust nothing that is not allowed explicitly.
    - ``cors_origins``: the sites whose scripts may use the API; ``*`` is every site.
    - ``reply_timeout_ms``: how long a request waits for its actor before 504.
    - ``max_header_bytes``, ``max_target_bytes``, ``headers_max``: of a request line with its
      headers; of its path and query; how many headers.
    - ``first_byte_timeout_ms``: how long a new connection may stay silent.
    - ``read_timeout_ms``: how long a request's head may take to arrive once it has begun.
    - ``body_timeout_ms``: how long its body may take to arrive before 408.
    - ``keep_alive_timeout_ms``: how long a connection may stay idle between two requests.
    - ``pipelined_max``: how many requests a client may send without waiting for an answer; after
      so many answers its connection is closed.
    - ``connections_max``, ``connections_per_address_max``: open at once, in all and from one
      address; ``exempt_addresses`` and trusted proxies may open as many as there are, but each
      address behind a proxy has no more event streams than the second.
    - ``trusted_proxies``: whose ``X-Forwarded-For`` is trusted to name a request's client.
    - ``requests_per_second_per_account``, ``burst_per_account``: one account's rate and burst;
      likewise for one address, except ``exempt_addresses``; 0: unlimited.
    - ``in_flight_max``: how many requests are in flight at once, in all, before 503.
    - ``bodies_in_flight_max_bytes``: how much memory arriving and in-flight bodies take before 503.
    - ``send_timeout_ms``: how long a client may take to accept one piece of an answer before its
      connection is aborted.
    - ``shutdown_timeout_ms``: how long requests in flight may take to finish at shutdown.

    Raises:
        ValueError: a value is out of its range; the message begins with the field's name.
    """

    host: str = "127.0.0.1"
    port: int = 8470
    fast_lane: bool = True
    tls: tuple[Path, Path] | None = None
    security_headers: bool = True
    cors_origins: frozenset[str] = frozenset()
    reply_timeout_ms: int = 5_000
    max_body_bytes: int = 64 * 1024
    max_header_bytes: int = 16 * 1024
    max_target_bytes: int = 8 * 1024
    headers_max: int = 100
    pipelined_max: int = 256
    backlog: int = 1_024
    connections_max: int = 10_000
    connections_per_address_max: int = 1_000
    exempt_addresses: Addresses = field(default_factory=Addresses)
    trusted_proxies: Addresses = field(default_factory=Addresses)
    requests_per_second_per_account: int = 0
    burst_per_account: int = 200
    requests_per_second_per_address: int = 0
    burst_per_address: int = 2_000
    in_flight_max: int = 2_000
    bodies_in_flight_max_bytes: int = 64 * 1024 * 1024
    first_byte_timeout_ms: int = 10_000
    read_timeout_ms: int = 10_000
    body_timeout_ms: int = 10_000
    keep_alive_timeout_ms: int = 75_000
    send_timeout_ms: int = 2_000
    shutdown_timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        """Reject settings under which nothing could be served."""
        if not self.host:
            raise ValueError("host must not be empty")
        if not 0 <= self.port <= PORT_MAX:
            raise ValueError(f"port must be between 0 and {PORT_MAX}, not {self.port}")
        for each in fields(self):
            value = getattr(self, each.name)
            least = 0 if each.name in _MAY_BE_ZERO else 1
            if type(value) is int and value < least:
                raise ValueError(f"{each.name} must be at least {least}, not {value}")
