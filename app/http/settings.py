"""What the HTTP front can be told; the root fills it from the configuration, ``http.<name>``."""

from __future__ import annotations

from dataclasses import dataclass, fields

PORT_MAX = 65_535
"""The largest TCP port."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Address, limits and timeouts of the HTTP front, each with its unit in its name.

    - ``port``: 0 lets the system pick a free one.
    - ``reply_timeout_ms``: how long a request waits for its actor before 504.
    - ``read_timeout_ms``: how long a request's body may take to arrive before 408.
    - ``keep_alive_timeout_ms``: how long a connection may stay without a complete request head.
    - ``send_timeout_ms``: how long a client may take to accept one piece of an answer; then its
      connection is aborted.
    - ``shutdown_timeout_ms``: how long requests in flight may take to finish at shutdown.

    Raises:
        ValueError: a value is out of its range; the message begins with the field's name.
    """

    host: str = "127.0.0.1"
    port: int = 8470
    reply_timeout_ms: int = 5_000
    max_body_bytes: int = 64 * 1024
    max_header_bytes: int = 16 * 1024
    backlog: int = 1_024
    connections_max: int = 10_000
    read_timeout_ms: int = 10_000
    keep_alive_timeout_ms: int = 75_000
    send_timeout_ms: int = 2_000
    shutdown_timeout_ms: int = 2_000

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could be served."""
        if not self.host:
            raise ValueError("host must not be empty")
        if not 0 <= self.port <= PORT_MAX:
            raise ValueError(f"port must be between 0 and {PORT_MAX}, not {self.port}")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1 and field.name != "port":
                raise ValueError(f"{field.name} must be at least 1, not {value}")
