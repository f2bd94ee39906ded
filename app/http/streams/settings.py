"""The settings of the event streams, filled from the configuration, ``events.<name>``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits and timing of event streams.

    - ``heartbeat_seconds``: the longest silence on a stream; each also checks its session.
    - ``streams_per_account_max``: beyond it a new stream is refused.
    - ``login_seconds``: how long a WebSocket may stay without a token.
    - ``page``: how many ledger entries are read at a time.
    """

    heartbeat_seconds: float = 15.0
    streams_per_account_max: int = 32
    login_seconds: float = 10.0
    page: int = 100

    def __post_init__(self) -> None:
        """Reject settings under which no stream could be served."""
        for name in ("heartbeat_seconds", "streams_per_account_max", "login_seconds", "page"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
