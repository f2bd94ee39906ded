"""The one module that maps errors to HTTP: every refusal becomes an RFC 9457 problem here.

An error that is not listed is unforeseen: it becomes a 500 without details, and
`Problem.unforeseen` makes the caller log it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from actors.authx import errors as authx
from actors.database import errors as database
from actors.inventory import errors as inventory
from actors.storage import errors as storage
from app.http import errors as http
from app.http.catalogue import PROBLEM_KINDS, ProblemKind
from app.http.exchange import PROBLEM_TYPE, HttpResponse
from bus import errors as bus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RETRY_AFTER_S = 1
"""The ``Retry-After`` of a refused client if nobody knows how long it will take."""

_CHALLENGE = b'Bearer realm="holdfast"'
"""The challenge of a 401 (RFC 6750, 3); if a token was refused, an error is added."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its kind, what happened this time, and extra members and headers."""

    kind: ProblemKind
    detail: str
    members: Mapping[str, object] = field(default_factory=dict[str, object])
    headers: tuple[tuple[bytes, bytes], ...] = ()
    unforeseen: bool = False

    def response(self) -> HttpResponse:
        """Render it as ``application/problem+json``."""
        body = {
            "type": self.kind.uri,
            "title": self.kind.title,
            "status": self.kind.status.value,
            "detail": self.detail,
            **self.members,
        }
        headers = ((b"content-type", PROBLEM_TYPE), (b"cache-control", b"no-store"), *self.headers)
        return HttpResponse(self.kind.status.value, headers, msgspec.json.encode(body))


def problem_of(error: BaseException) -> Problem:
    """Map an error to its problem; an error that is not listed is an internal one."""
    for type_ in type(error).__mro__:
        mapper = _MAPPERS.get(type_)
        if mapper is not None:
            return mapper(error)
    return _INTERNAL


def problem(
    slug: str,
    detail: str,
    members: Mapping[str, object] = MappingProxyType({}),
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Problem:
    """Make a problem of a listed kind.

    Raises:
        KeyError: there is no such kind.
    """
    return Problem(PROBLEM_KINDS[slug], detail, members, headers)


_INTERNAL = Problem(
    PROBLEM_KINDS["internal-error"],
    "the server met an unexpected error",
    unforeseen=True,
)


def _plain(slug: str) -> Callable[[Exception], Problem]:
    """Map to ``slug`` with the error's own message."""
    return lambda error: problem(slug, str(error))


def _fixed(slug: str, detail: str) -> Callable[[Exception], Problem]:
    """Map to ``slug`` with a fixed detail: the error's message is not for clients."""
    return lambda _: problem(slug, detail)


def _later(slug: str, detail: str, *, unforeseen: bool = False) -> Callable[[Exception], Problem]:
    """Map to a 503 that says when to retry."""
    headers = _retry_after(RETRY_AFTER_S)
    always = Problem(PROBLEM_KINDS[slug], detail, headers=headers, unforeseen=unforeseen)
    return lambda _: always


def _unauthorized(
    slug: str, detail: str, challenge: bytes = _CHALLENGE
) -> Callable[[Exception], Problem]:
    """Map to a 401 that is the same for every reason."""
    always = problem(slug, detail, headers=((b"www-authenticate", challenge),))
    return lambda _: always


def _invalid_field(name: str) -> Callable[[Exception], Problem]:
    """Map to a 422 about one field of the body."""
    return lambda error: _invalid_request(http.InvalidRequest(http.FieldError(name, str(error))))


def _invalid_amount(error: inventory.InvalidAmount) -> Problem:
    """Map to a 422 about what a transfer carries; the endpoint of grants has its own."""
    name = f"resources.{error.name}" if error.name else "resources"
    return _invalid_field(name)(error)


def _invalid_request(error: http.InvalidRequest) -> Problem:
    count = len(error.errors)
    detail = "1 field is not valid" if count == 1 else f"{count} fields are not valid"
    return problem("invalid-request", detail, {"errors": error.errors})


def _not_found(error: http.NotFound) -> Problem:
    return problem(error.slug, str(error))


def _method_not_allowed(error: http.MethodNotAllowed) -> Problem:
    allow = ", ".join(error.allow).encode()
    return problem("method-not-allowed", str(error), headers=((b"allow", allow),))


def _too_many(slug: str) -> Callable[[Any], Problem]:
    """Map to a 429 that says when to retry, as the error does."""
    return lambda error: problem(slug, str(error), headers=_retry_after(error.retry_after_s))


def _retry_later(slug: str) -> Callable[[Exception], Problem]:
    """Map to ``slug`` with the error's own message, and say when to retry."""
    headers = _retry_after(RETRY_AFTER_S)
    return lambda error: problem(slug, str(error), headers=headers)


def _overloaded(error: bus.Overloaded) -> Problem:
    """Map to a 503 that says when to retry, as the error does, but not which buffer is full."""
    detail = "the server is at capacity"
    return problem("overloaded", detail, headers=_retry_after(error.retry_after_s))


def _retry_after(seconds: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", str(max(1, seconds)).encode()),)


def _upgrade_required(error: http.UpgradeRequired) -> Problem:
    # With the version, for clients that speak another (RFC 6455, 4.4).
    version = (b"sec-websocket-version", b"13")
    headers = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"), version)
    return problem("upgrade-required", str(error), headers=headers)


def _missing(slug: str) -> Callable[[Any], Problem]:
    return lambda error: problem(slug, str(error), {"missing": error.missing})


def _order_not_pending(error: inventory.OrderNotPending) -> Problem:
    return problem("order-not-pending", str(error), {"state": error.state})


def _queue_full(error: inventory.QueueFull) -> Problem:
    return problem("queue-full", str(error), {"queue": error.queue})


def _max_level(error: inventory.MaxLevel) -> Problem:
    return problem("max-level", str(error), {"asset": error.asset, "level": error.level})


def _transfer_limit(error: inventory.TransferLimit) -> Problem:
    return problem("transfer-limit", str(error), {"left": error.left})


def _transfer_returned(error: inventory.TransferReturned) -> Problem:
    headers = ((b"idempotency-replayed", b"true"),) if error.replayed else ()
    members = {"transfer_id": error.transfer_id}
    return problem("transfer-returned", str(error), members, headers=headers)


_LOG_IN = "log in or refresh to get a token"
_INVALID_TOKEN = _unauthorized("invalid-token", _LOG_IN, _CHALLENGE + b', error="invalid_token"')
_DATABASE_AWAY = "the database cannot be reached now"

_MAPPERS: Mapping[type[BaseException], Callable[[Any], Problem]] = MappingProxyType(
    {
        # The HTTP front's own refusals.
        http.MalformedRequest: _plain("malformed-request"),
        http.MalformedJson: _plain("malformed-json"),
        http.IdempotencyKeyRequired: _plain("idempotency-key-required"),
        http.NoToken: _unauthorized("invalid-token", _LOG_IN),
        http.Forbidden: _plain("forbidden"),
        http.PasswordChangeRequired: _plain("password-change-required"),
        http.NotFound: _not_found,
        http.MethodNotAllowed: _method_not_allowed,
        http.BodyTimeout: _plain("request-timeout"),
        http.PayloadTooLarge: _plain("payload-too-large"),
        http.TargetTooLong: _plain("target-too-long"),
        http.UnsupportedMediaType: _plain("unsupported-media-type"),
        http.InvalidRequest: _invalid_request,
        http.HeadersTooLarge: _plain("headers-too-large"),
        http.NotImplementedByServer: _plain("not-implemented"),
        http.TooManyConnections: _later("overloaded", "too many connections are open"),
        http.ServerStopping: _later("overloaded", "the server is stopping"),
        http.TooManyInHand: _later("overloaded", "the server is at capacity"),
        http.TooManyBodyBytes: _later(
            "overloaded", "the request bodies being received take all the memory they may"
        ),
        http.TooManyStreams: _retry_later("too-many-streams"),
        http.TooManyRequests: _too_many("too-many-requests"),
        http.UpgradeRequired: _upgrade_required,
        http.HttpVersionNotSupported: _plain("http-version-not-supported"),
        # The bus.
        bus.Overloaded: _overloaded,
        bus.ActorStopped: _later("actor-stopped", "the actor handling the request stopped"),
        bus.ReplyTimeout: _fixed("reply-timeout", "the answer did not come in time"),
        # Authx.
        authx.RegistrationClosed: _fixed("registration-closed", "registration is closed here"),
        authx.UsernameTaken: _fixed("username-taken", "another account has this username"),
        authx.InvalidUsername: _invalid_field("username"),
        authx.InvalidPassword: _invalid_field("password"),
        authx.InvalidCredentials: _unauthorized(
            "invalid-credentials", "unknown user or wrong password"
        ),
        authx.InvalidToken: _INVALID_TOKEN,
        authx.TooManyAttempts: _too_many("too-many-attempts"),
        authx.UnknownAccount: _fixed("unknown-account", "there is no such account"),
        authx.UnknownSession: _fixed("unknown-session", "the account has no such session"),
        # Inventory. The courier handles NoRoom: the sender gets TransferReturned.
        inventory.UnknownAsset: _plain("unknown-asset"),
        inventory.UnknownOrder: _plain("unknown-order"),
        inventory.OrderNotPending: _order_not_pending,
        inventory.InsufficientResources: _missing("insufficient-resources"),
        inventory.PrerequisitesMissing: _missing("prerequisites-missing"),
        inventory.QueueFull: _queue_full,
        inventory.MaxLevel: _max_level,
        inventory.InvalidCount: _invalid_field("count"),
        inventory.ForecastTooFar: _invalid_field("seconds"),
        inventory.InvalidAmount: _invalid_amount,
        inventory.TransfersDisabled: _plain("transfers-disabled"),
        inventory.UnknownReceiver: _fixed("unknown-account", "there is no such account"),
        inventory.UnknownTransfer: _plain("unknown-transfer"),
        inventory.TransferToSelf: _invalid_field("to"),
        inventory.TransferLimit: _transfer_limit,
        inventory.TransferReturned: _transfer_returned,
        inventory.RulesetMismatch: _plain("ruleset-mismatch"),
        inventory.IdempotencyKeyReused: _fixed(
            "idempotency-key-reused", "this key was used before with a different request"
        ),
        # The account behind the token is gone, and its sessions with it.
        inventory.AccountGone: _INVALID_TOKEN,
        # Storage and the database. A statement that the database rejects is the server's fault.
        storage.Conflict: _fixed(
            "conflict", "it has been changed by somebody else in the meantime"
        ),
        database.DatabaseUnavailable: _later("unavailable", _DATABASE_AWAY),
        database.ConnectionLost: _later("unavailable", _DATABASE_AWAY),
        database.DatabaseError: _later("unavailable", _DATABASE_AWAY, unforeseen=True),
    }
)
