"""The HTTP front's own refusals, before or beside any actor.

::

    HttpError
    ├── MalformedRequest          400: this server cannot read the request
    ├── MalformedJson             400: the body is not JSON, or breaks its limits
    ├── IdempotencyKeyRequired    400
    ├── NoToken                   401: there is no access token
    ├── Forbidden                 403: the account's role does not allow it
    ├── PasswordChangeRequired    403: the password is a one-time password
    ├── NotFound                  404 (slug: what kind of thing is missing)
    ├── MethodNotAllowed          405 (allow: the methods that are allowed)
    ├── BodyTimeout               408: the body did not arrive in time
    ├── PayloadTooLarge           413
    ├── TargetTooLong             414
    ├── UnsupportedMediaType      415
    ├── UpgradeRequired           426: the path speaks only WebSocket
    ├── InvalidRequest            422 (errors: the field and message of each fault)
    ├── TooManyStreams            429: the account or the address has its maximum of streams
    ├── TooManyRequests           429 (retry_after_s): the account or the address is over its rate
    ├── HeadersTooLarge           431
    ├── NotImplementedByServer    501: an unknown transfer coding
    ├── TooManyConnections        503
    ├── TooManyInHand             503: the server has its maximum of requests in flight
    ├── TooManyBodyBytes          503: bodies take their maximum of memory
    ├── ServerStopping            503
    └── HttpVersionNotSupported   505

`HttpBindError` and `TlsError` are separate: the server could not start at all.
"""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; an empty name means the body as a whole."""

    field: str
    message: str


class HttpError(Exception):
    """A refusal by the HTTP front; the message becomes the problem's detail."""


class MalformedRequest(HttpError):
    """The request line, the framing or the headers cannot be accepted."""


class MalformedJson(HttpError):
    """The body is not JSON, or exceeds a limit that applies to every body."""


class IdempotencyKeyRequired(HttpError):
    """A command that changes assets came without its key."""


class NoToken(HttpError):
    """The request needs an access token and carries none."""


class Forbidden(HttpError):
    """The account's role does not allow this."""


class PasswordChangeRequired(HttpError):
    """The account has a one-time password, which must be changed before anything else."""


class NotFound(HttpError):
    """There is nothing here; ``slug`` names the problem."""

    def __init__(self, message: str, slug: str = "not-found") -> None:
        super().__init__(message)
        self.slug = slug


class MethodNotAllowed(HttpError):
    """The path exists, but not with this method; ``allow`` names its methods."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        super().__init__("this path supports only " + ", ".join(allow))
        self.allow = allow


class BodyTimeout(HttpError):
    """The body did not arrive in time."""


class PayloadTooLarge(HttpError):
    """The body is larger than the server accepts."""


class UnsupportedMediaType(HttpError):
    """The body is declared as something other than JSON."""


class InvalidRequest(HttpError):
    """The request is well-formed, but not what the endpoint accepts."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in errors))
        self.errors = errors


class UpgradeRequired(HttpError):
    """The request is not a WebSocket handshake, and this path serves nothing else."""


class TooManyStreams(HttpError):
    """An account, or an address behind a proxy, has its maximum of event streams open."""

    def __init__(self, streams_max: int, whose: str = "an account") -> None:
        super().__init__(f"{whose} may have at most {streams_max} event streams open")


class TooManyRequests(HttpError):
    """An account or an address exceeds its request rate; nothing was done."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests in a short time; nothing was done")
        self.retry_after_s = retry_after_s


class TargetTooLong(HttpError):
    """The path and query are longer than the server accepts."""


class HeadersTooLarge(HttpError):
    """The request line and headers are larger than the server accepts."""


class NotImplementedByServer(HttpError):
    """The request uses a transfer coding that the server does not know."""


class TooManyConnections(HttpError):
    """The server has its maximum of connections open."""


class TooManyInHand(HttpError):
    """The server has its maximum of requests in flight; nothing was done."""


class TooManyBodyBytes(HttpError):
    """The bodies of all requests take their maximum of memory; nothing was done."""


class ServerStopping(HttpError):
    """The server is stopping before the request was answered."""


class HttpVersionNotSupported(HttpError):
    """The request uses an HTTP version other than 1.0 and 1.1."""


class HttpBindError(Exception):
    """The server cannot listen on its address; the message is one line."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        shown = f"[{host}]" if ":" in host else host
        super().__init__(f"cannot listen on {shown}:{port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


class TlsError(Exception):
    """The certificate and the key cannot be used; the message is one line."""
