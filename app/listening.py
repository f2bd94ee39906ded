"""Where a server can be reached."""

from __future__ import annotations

from dataclasses import dataclass

from app.http.listeners import EVERYWHERE


@dataclass(frozen=True, slots=True)
class Listening:
    """The address of a server that is ready."""

    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The base URL for clients; if the server listens everywhere, for those on this machine."""
        host = "localhost" if self.host == EVERYWHERE else self.host
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{self.port}"
