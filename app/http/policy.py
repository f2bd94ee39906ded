"""The headers for browsers on every answer: how to treat it, and which sites may read it.

Cookies do not authenticate here, so another site cannot act for anybody; which sites' scripts may
use the API is up to the operator (CORS, Fetch Standard).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.http.exchange import HttpResponse

if TYPE_CHECKING:
    from app.http.exchange import Headers

ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
"""Added to every answer that does not set them itself."""

TRANSPORT_SECURITY: Final = (b"strict-transport-security", b"max-age=31536000")
"""Added if the server itself speaks TLS (RFC 6797): use only TLS for a year."""

ANY: Final = "*"
_MAX_AGE_S: Final = 600
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"DELETE, GET, HEAD, POST, PUT"),
    (
        b"access-control-allow-headers",
        (
            b"authorization, content-type, idempotency-key, if-none-match, last-event-id, "
            b"traceparent, tracestate, x-request-id"
        ),
    ),
    (b"access-control-max-age", str(_MAX_AGE_S).encode()),
)
_EXPOSED: Final = (
    b"access-control-expose-headers",
    b"etag, idempotency-replayed, retry-after, x-request-id",
)
_VARY: Final = (b"vary", b"origin")


@dataclass(frozen=True, slots=True)
class Policy:
    """The headers added to an answer; ``origins`` are sites as browsers name them, or ``*``."""

    always: tuple[tuple[bytes, bytes], ...] = ()
    origins: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, security_headers: bool, tls: bool, origins: frozenset[str]) -> Policy:
        """Make the policy that is configured."""
        always = ALWAYS if security_headers else ()
        return cls((*always, TRANSPORT_SECURITY) if security_headers and tls else always, origins)

    def added(self, headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[bytes, bytes], ...]:
        """Return the standard headers that are not among ``headers``."""
        said = {name for name, _ in headers}
        return tuple(header for header in self.always if header[0] not in said)

    def sharing(self, request: Headers) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that let a site's script read the answer to its request."""
        if not self.origins:
            return ()
        origin = self._allowed(request)
        if origin is None:
            return (_VARY,)
        return (_VARY, (b"access-control-allow-origin", origin), _EXPOSED)

    def sharing_unread(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the same for a request that was not read, so that its site is unknown."""
        if ANY not in self.origins:
            return ()
        return (_VARY, (b"access-control-allow-origin", ANY.encode()), _EXPOSED)

    def preflight(self, method: str, request: Headers) -> HttpResponse | None:
        """Answer a CORS preflight; None if the request is not one, or its site is not allowed."""
        if method != "OPTIONS" or not self.origins:
            return None
        if not request.all(b"access-control-request-method") or self._allowed(request) is None:
            return None
        return HttpResponse(204, (*_PREFLIGHT, (b"cache-control", b"no-store")), b"")

    def _allowed(self, request: Headers) -> bytes | None:
        values = request.all(b"origin")
        if len(values) != 1:
            return None
        if ANY in self.origins:
            return ANY.encode()
        return values[0] if values[0].decode("latin-1") in self.origins else None
