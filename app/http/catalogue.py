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
        "The request line, the framing or a header is not what HTTP allows or this server takes.",
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
        "A command that changes assets carries an Idempotency-Key header of 1 to 255 visible ASCII"
        " characters, fresh for each new command and the same when one is sent again.",
    ),
    ProblemKind(
        "invalid-token",
        HTTPStatus.UNAUTHORIZED,
        "The token is not accepted",
        "The token is missing, malformed, expired, revoked or another server's: log in or refresh.",
    ),
    ProblemKind(
        "invalid-credentials",
        HTTPStatus.UNAUTHORIZED,
        "Wrong username or password",
        "There is no such username, or the password is not its password.",
    ),
    ProblemKind(
        "forbidden",
        HTTPStatus.FORBIDDEN,
        "Not allowed",
        "The account is known, but its role does not allow this.",
    ),
    ProblemKind(
        "password-change-required",
        HTTPStatus.FORBIDDEN,
        "The password must be changed first",
        "The account has a one-time password. Until it is changed with PUT /v1/accounts/me/password"
        " nothing else can be done but to read /v1/accounts/me.",
    ),
    ProblemKind(
        "registration-closed",
        HTTPStatus.FORBIDDEN,
        "Registration is closed",
        "This server lets nobody register: its operator makes the accounts.",
    ),
    ProblemKind(
        "not-found",
        HTTPStatus.NOT_FOUND,
        "Not found",
        "There is nothing under this path.",
    ),
    ProblemKind(
        "unknown-account",
        HTTPStatus.NOT_FOUND,
        "No such account",
        "There is no account of this name or id.",
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
        "This account has no order of this id.",
    ),
    ProblemKind(
        "unknown-transfer",
        HTTPStatus.NOT_FOUND,
        "No such transfer",
        "This account has neither sent nor received a transfer of this id.",
    ),
    ProblemKind(
        "method-not-allowed",
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The path is there, but not with this method; the Allow header names those that are.",
    ),
    ProblemKind(
        "request-timeout",
        HTTPStatus.REQUEST_TIMEOUT,
        "The body did not arrive in time",
        "The client took too long to send the body it had announced.",
    ),
    ProblemKind(
        "username-taken",
        HTTPStatus.CONFLICT,
        "The username is taken",
        "Another account has this username, in this or another spelling.",
    ),
    ProblemKind(
        "insufficient-resources",
        HTTPStatus.CONFLICT,
        "Not enough resources",
        "The price cannot be covered now; `missing` gives the whole units that are short.",
    ),
    ProblemKind(
        "prerequisites-missing",
        HTTPStatus.CONFLICT,
        "Prerequisites are missing",
        "Other assets must be there first; `missing` gives the level or count needed of each.",
    ),
    ProblemKind(
        "queue-full",
        HTTPStatus.CONFLICT,
        "The queue is full",
        "Every place in the asset's `queue` is taken; wait for a completion or cancel an order.",
    ),
    ProblemKind(
        "max-level",
        HTTPStatus.CONFLICT,
        "The highest level is reached",
        "The `asset` cannot rise above this `level`, orders under way included.",
    ),
    ProblemKind(
        "order-not-pending",
        HTTPStatus.CONFLICT,
        "The order is not pending",
        "The order is completed or cancelled already; `state` says which.",
    ),
    ProblemKind(
        "transfers-disabled",
        HTTPStatus.CONFLICT,
        "Nothing can be sent",
        "The ruleset lets nobody send anything.",
    ),
    ProblemKind(
        "transfer-limit",
        HTTPStatus.CONFLICT,
        "The day's limit is reached",
        "More than may be sent in a day, which begins at midnight UTC of the world's time; `left`"
        " gives what may still be sent today.",
    ),
    ProblemKind(
        "transfer-returned",
        HTTPStatus.CONFLICT,
        "The transfer was returned",
        "The receiver had no room, or is gone: the sender has everything back. `transfer_id` names"
        " the transfer.",
    ),
    ProblemKind(
        "conflict",
        HTTPStatus.CONFLICT,
        "Changed by somebody else",
        "What the request was to change was changed meanwhile; read it again and retry.",
    ),
    ProblemKind(
        "payload-too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body is too large",
        "The body is larger than the server takes.",
    ),
    ProblemKind(
        "target-too-long",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "The path is too long",
        "The path and the query together are longer than the server takes.",
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
        "The request is well-formed, but a field is missing, unknown, of the wrong type or out of"
        " its bounds; `errors` names the first that was found, with a message. Another may be wrong"
        " as well.",
    ),
    ProblemKind(
        "idempotency-key-reused",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used before",
        "The same Idempotency-Key came before with another request; use a fresh one.",
    ),
    ProblemKind(
        "too-many-attempts",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many attempts",
        "Too many passwords were tried in a short time, for this user or from this address, or too"
        " many accounts registered from there. This one was not looked at; the Retry-After header"
        " says when to try again, which is later with each of them.",
    ),
    ProblemKind(
        "too-many-requests",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests",
        "The account, or the address it comes from, asks more often than it may. Nothing was done;"
        " send it again, with the same Idempotency-Key, after what the Retry-After header says.",
    ),
    ProblemKind(
        "upgrade-required",
        HTTPStatus.UPGRADE_REQUIRED,
        "WebSocket is required",
        "The path is answered over WebSocket (RFC 6455), version 13, alone.",
    ),
    ProblemKind(
        "too-many-streams",
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many event streams",
        "The account, or the address that it comes from through a proxy, has as many event streams"
        " open as it may: close one, then open another.",
    ),
    ProblemKind(
        "headers-too-large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "The headers are too large",
        "The request line and headers are larger, or more, than the server takes.",
    ),
    ProblemKind(
        "internal-error",
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "The server met something it did not foresee; the X-Request-Id header leads to its log.",
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
        "The server has as much to do as it takes; nothing was done, try again later.",
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
        "The rules in force have no place for something that this account owns or has ordered; the"
        " operator must bring the two together.",
    ),
    ProblemKind(
        "actor-stopped",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Interrupted",
        "What worked on the request stopped. A command sent again with the same Idempotency-Key"
        " takes effect once.",
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
