"""Where a server can be reached."""

from __future__ import annotations

from dataclasses import dataclass

from app.http.listeners import EVERYWHERE


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server that has become ready can be reached."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The address for a client, on this machine where the server listens on all that it has."""
        host = "localhost" if self.host == EVERYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{self.port}"
