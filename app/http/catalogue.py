"""The problems that the API answers with: for each slug its title, status and meaning."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One kind of problem; its ``type`` is ``/problems/<slug>``."""

    slug: str
    status: HTTPStatus
    title: str
    description: str

    @property
    def uri(self) -> str:
        """The problem's ``type`` (RFC 9457, 3.1.1)."""
        return f"/problems/{self.slug}"


_KINDS = (
    ProblemKind(
        "malformed-request",
        HTTPStatus.BAD_REQUEST,
        "The request cannot be read",
        "The request line, the framing or a header is not allowed by HTTP or not accepted by "
        "this server.",
    ),
    ProblemKind(
        "malformed-json",
        HTTPStatus.BAD_REQUEST,
        "The body is not JSON",
        "The body must be UTF-8 JSON (RFC 8259) without NaN, Infinity, duplicate members, lone"
        " surrogates or NUL, nested at most 32 deep.",
    ),
    ProblemKind(
        "idempotency-key-required",
        HTTPStatus.BAD_REQUEST,
        "An Idempotency-Key is required",
        "A command that changes assets carries an Idempotency-Key header of 1 to 255 visible "
        "ASCII characters: a fresh one for each new command, the same one when a command is "
        "sent again.",
    ),
    ProblemKind(
        "invalid-token",
        HTTPStatus.UNAUTHORIZED,
        "The token is not accepted",
        "The token is missing, malformed, expired, revoked or from another server: log in or "
        "refresh.",
    ),
    ProblemKind(
        "invalid-credentials",
        HTTPStatus.UNAUTHORIZED,
        "Wrong username or password",
        "The username does not exist, or the password is wrong.",
    ),
    ProblemKind(
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "Not allowed",
        "The account's role does not allow this.",
    ),
    ProblemKind(
        "password-change-required",
        HTTPStatus.FORBIDDEN,
        "The password must be changed first",
        "The account has a one-time password. Until it is changed with PUT "
        "/v1/accounts/me/password, the account can only read /v1/accounts/me.",
    ),
    ProblemKind(
        "registration-closed",
        HTTPStatus.FORBIDDEN,
        "Registration is closed",
        "This server does not let anyone register: its operator creates the accounts.",
    ),
    ProblemKind(
        "not-found",
        HTTPStatus.NOT_FOUND,
        "Not found",
        "Nothing exists at this path.",
    ),
    ProblemKind(
        "unknown-account",
        HTTPStatus.NOT_FOUND,
        "No such account",
        "No account has this name or id.",
    ),
    ProblemKind(
        "unknown-session",
        HTTPStatus.NOT_FOUND,
        "No such session",
        "This account has no session of this id, or it has ended.",
    ),
    ProblemKind(
        "unknown-asset",
        HTTPStatus.NOT_FOUND,
        "No such asset",
        "The ruleset has no asset of this name that can be ordered, or no resource of this name"
        " that can be sent; see /v1/ruleset.",
    ),
    ProblemKind(
        "unknown-order",
        HTTPStatus.NOT_FOUND,
        "No such order",
        "This account has no order with this id.",
    ),
    ProblemKind(
        "unknown-transfer",
        HTTPStatus.NOT_FOUND,
        "No such transfer",
        "This account has neither sent nor received a transfer with this id.",
    ),
    ProblemKind(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path exists, but does not support this method; the Allow header lists the methods "
        "it supports.",
    ),
    ProblemKind(
        "request-timeout",
        HTTPStatus.REQUEST_TIMEOUT,
        "The body did not arrive in time",
        "The client took too long to send the body that it announced.",
    ),
    ProblemKind(
        "username-taken",
        HTTPStatus.CONFLICT,
        "The username is taken",
        "Another account has this username, in this or an equivalent spelling.",
    ),
    ProblemKind(
        "insufficient-resources",
        HTTPStatus.CONFLICT,
        "Not enough resources",
        "The account cannot pay the price now; `missing` gives how many whole units it lacks.",
    ),
    ProblemKind(
        "prerequisites-missing",
        HTTPStatus.CONFLICT,
        "Prerequisites are missing",
        "Other assets are needed first; `missing` gives the level or count needed of each.",
    ),
    ProblemKind(
        "queue-full",
        HTTPStatus.CONFLICT,
        "The queue is full",
        "Every place in the asset's `queue` is taken; wait for an order to complete or cancel one.",
    ),
    ProblemKind(
        "max-level",
        HTTPStatus.CONFLICT,
        "The highest level is reached",
        "The `asset` cannot rise above this `level`, counting pending orders.",
    ),
    ProblemKind(
        "order-not-pending",
        HTTPStatus.CONFLICT,
        "The order is not pending",
        "The order is already completed or cancelled; `state` says which.",
    ),
    ProblemKind(
        "transfers-disabled",
        HTTPStatus.CONFLICT,
        "Nothing can be sent",
        "The ruleset does not allow transfers.",
    ),
    ProblemKind(
        "transfer-limit",
        HTTPStatus.CONFLICT,
        "The day's limit is reached",
        "This is more than may be sent in a day, which begins at midnight UTC of the world's "
        "time; `left` gives what may still be sent today.",
    ),
    ProblemKind(
        "transfer-returned",
        HTTPStatus.CONFLICT,
        "The transfer was returned",
        "The receiver had no room or no longer exists: the sender has everything back. "
        "`transfer_id` names the transfer.",
    ),
    ProblemKind(
        "conflict",
        HTTPStatus.CONFLICT,
        "Changed by somebody else",
        "What the request was to change has changed in the meantime; read it again and retry.",
    ),
    ProblemKind(
        "payload-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "The body is larger than the server accepts.",
    ),
    ProblemKind(
        "target-too-long",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "The path is too long",
        "The path and query together are longer than the server accepts.",
    ),
    ProblemKind(
        "unsupported-media-type",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body must be JSON",
        "The body is declared as something other than application/json in UTF-8, or as compressed.",
    ),
    ProblemKind(
        "invalid-request",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The request is not valid",
        "The request is well-formed, but a field is missing, unknown, of the wrong type or out "
        "of bounds; `errors` names the first such field found, with a message. Others may be "
        "invalid as well.",
    ),
    ProblemKind(
        "idempotency-key-reused",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used before",
        "The same Idempotency-Key was used before with a different request; use a fresh one.",
    ),
    ProblemKind(
        "too-many-attempts",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many attempts",
        "Too many passwords were tried in a short time, for this user or from this address, or "
        "too many accounts registered from there. This attempt was not examined; the "
        "Retry-After header says when to try again, which is later with each attempt.",
    ),
    ProblemKind(
        "too-many-requests",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "The account, or the address it comes from, sends requests too often. Nothing was done; "
        "send the request again, with the same Idempotency-Key, after the time in the "
        "Retry-After header.",
    ),
    ProblemKind(
        "upgrade-required",
        HTTPStatus.UPGRADE_REQUIRED,
        "WebSocket is required",
        "The path is served over WebSocket (RFC 6455) only, version 13.",
    ),
    ProblemKind(
        "too-many-streams",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many event streams",
        "The account, or its address behind a proxy, already has as many event streams open as "
        "it may: close one before opening another.",
    ),
    ProblemKind(
        "headers-too-large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large",
        "The request line and headers are larger, or the headers more numerous, than the server "
        "accepts.",
    ),
    ProblemKind(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "The server met an unexpected error; the X-Request-Id header leads to its log entry.",
    ),
    ProblemKind(
        "not-implemented",
        HTTPStatus.NOT_IMPLEMENTED,
        "Not implemented",
        "The request asks for a transfer coding that the server does not know.",
    ),
    ProblemKind(
        "overloaded",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Overloaded",
        "The server is at capacity; nothing was done, try again later.",
    ),
    ProblemKind(
        "unavailable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database is away",
        "The server cannot reach its database now. A command sent again with the same"
        " Idempotency-Key takes effect once.",
    ),
    ProblemKind(
        "ruleset-mismatch",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The account does not fit the rules",
        "The rules in force do not include something that this account owns or has ordered; the "
        "operator must reconcile the two.",
    ),
    ProblemKind(
        "actor-stopped",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Interrupted",
        "The actor handling the request stopped. A command sent again with the same "
        "Idempotency-Key takes effect once.",
    ),
    ProblemKind(
        "reply-timeout",
        HTTPStatus.GATEWAY_TIMEOUT,
        "No answer in time",
        "The answer did not come in time. A command sent again with the same Idempotency-Key"
        " takes effect once.",
    ),
    ProblemKind(
        "http-version-not-supported",
        HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        "HTTP version not supported",
        "The server speaks HTTP/1.0 and HTTP/1.1.",
    ),
)

PROBLEM_KINDS: Mapping[str, ProblemKind] = MappingProxyType({kind.slug: kind for kind in _KINDS})
"""Every kind of problem by its slug."""
