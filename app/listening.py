"""Where a server can be reached."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server that has become ready can be reached."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The address for a client."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"
