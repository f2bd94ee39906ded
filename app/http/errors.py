"""What the HTTP front itself refuses, before or beside any actor.

::

    HttpError
    ├── MalformedRequest          400: the request is not one that this server can read
    ├── MalformedJson             400: the body is not JSON, or breaks its limits
    ├── IdempotencyKeyRequired    400
    ├── NoToken                   401: no access token came
    ├── Forbidden                 403: the account's role does not allow it
    ├── PasswordChangeRequired    403: the password is a one-time password
    ├── NotFound                  404 (slug: which kind of thing is not there)
    ├── MethodNotAllowed          405 (allow: the methods that are)
    ├── BodyTimeout               408: the body did not arrive in time
    ├── PayloadTooLarge           413
    ├── TargetTooLong             414
    ├── UnsupportedMediaType      415
    ├── UpgradeRequired           426: the path speaks WebSocket alone
    ├── InvalidRequest            422 (errors: field and message of what was found)
    ├── TooManyStreams            429: the account or the address has as many streams as it may
    ├── TooManyRequests           429 (retry_after_s): the account or the address asks too often
    ├── HeadersTooLarge           431
    ├── NotImplementedByServer    501: a transfer coding that this server does not know
    ├── TooManyConnections        503
    ├── TooManyInHand             503: as many requests are in hand as the server takes
    ├── TooManyBodyBytes          503: bodies take as much memory as they may
    ├── ServerStopping            503
    └── HttpVersionNotSupported   505

`HttpBindError` and `TlsError` stand beside them: the server could not begin at all.
"""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; an empty name means the body as a whole."""

    field: str
    message: str


class HttpError(Exception):
    """Whatever the HTTP front refuses; the message becomes the problem's detail."""


class MalformedRequest(HttpError):
    """The request line, the framing or the headers cannot be accepted."""


class MalformedJson(HttpError):
    """The body is not JSON, or breaks a limit that every body must keep."""


class IdempotencyKeyRequired(HttpError):
    """A command that changes assets came without its key."""


class NoToken(HttpError):
    """The request has to carry an access token, and carries none."""


class Forbidden(HttpError):
    """The account's role does not allow this."""


class PasswordChangeRequired(HttpError):
    """The account has a one-time password: nothing may be done before it is changed."""


class NotFound(HttpError):
    """There is nothing here; ``slug`` names the problem."""

    def __init__(self, message: str, slug: str = "not-found") -> None:
        super().__init__(message)
        self.slug = slug


class MethodNotAllowed(HttpError):
    """The path is there, but not with this method; ``allow`` names those that are."""

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
    """The request is well-formed, but not what the endpoint takes."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{e.field}: {e.message}" for e in errors))
        self.errors = errors


class UpgradeRequired(HttpError):
    """The request is no WebSocket handshake, and nothing else is answered here."""


class TooManyStreams(HttpError):
    """An account, or an address behind a proxy, has as many event streams open as it may."""

    def __init__(self, streams_max: int, whose: str = "an account") -> None:
        super().__init__(f"{whose} may have at most {streams_max} event streams open")


class TooManyRequests(HttpError):
    """An account or an address asks more often than it may; nothing was done."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests in a short time; nothing was done")
        self.retry_after_s = retry_after_s


class TargetTooLong(HttpError):
    """The path and query are longer than the server takes."""


class HeadersTooLarge(HttpError):
    """The request line and headers are larger than the server takes."""


class NotImplementedByServer(HttpError):
    """The request asks for a transfer coding that the server does not know."""


class TooManyConnections(HttpError):
    """As many connections are open as the server takes."""


class TooManyInHand(HttpError):
    """As many requests are in hand as the server takes; nothing was done."""


class TooManyBodyBytes(HttpError):
    """The bodies of all requests take as much memory as they may; nothing was done."""


class ServerStopping(HttpError):
    """The server stops before the request was answered."""


class HttpVersionNotSupported(HttpError):
    """The request is of an HTTP version other than 1.0 and 1.1."""


class HttpBindError(Exception):
    """The server cannot listen on its address; the message is one clear line."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        shown = f"[{host}]" if ":" in host else host
        super().__init__(f"cannot listen on {shown}:{port}: {reason}")
        self.host = host
        self.port = port
        self.reason = reason


class TlsError(Exception):
    """The certificate and the key cannot be used; the message is one clear line."""
