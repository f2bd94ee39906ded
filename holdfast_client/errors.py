"""The errors that a call can raise.

::

    HoldfastError
    ├── InvalidArgument          an argument cannot be sent, and was not; also a ValueError
    ├── NoAnswer                 nothing came back (sent: whether the server may have acted)
    │   ├── CannotConnect        nothing listens, or no connection in time: nothing was done
    │   └── DeadlineExceeded     the answer did not come in time
    ├── UnexpectedAnswer         an answer that the API does not promise (status, retry_after_s)
    └── Problem                  the server refused (slug, status, detail, members)
        ├── Unauthorized         401: wrong password, or the session has ended
        ├── Forbidden            403
        ├── NotFound             404
        ├── Refused              409: the rules or the state of the world forbid it
        ├── InvalidRequest       422 (errors: field and message of each)
        ├── TooManyAttempts      429: too many passwords or registrations (retry_after_s)
        ├── TooManyRequests      any other 429: requests, or event streams (retry_after_s)
        └── ServerBusy           503 and 504: overloaded, or its database is unavailable

``slug`` names the exact reason (``insufficient-resources``); each server describes its own under
``/problems/<slug>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from holdfast_client.shapes import converted

if TYPE_CHECKING:
    from collections.abc import Mapping

Members: TypeAlias = "Mapping[str, Any]"


class _Fault(msgspec.Struct, frozen=True):
    field: str = ""
    message: str = ""


class HoldfastError(Exception):
    """Any reason why a call has no result; the message is one line."""

    def __str__(self) -> str:
        """Return the message; text from a proxy may contain more lines."""
        return " ".join(super().__str__().split())


class InvalidArgument(HoldfastError, ValueError):
    """An argument cannot be sent; nothing was sent."""


class NoAnswer(HoldfastError):
    """Nothing came back.

    If ``sent`` is true, the server may or may not have acted: a command with an idempotency key
    can be sent again under the same key.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class CannotConnect(NoAnswer):
    """The server cannot be reached; nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=False)


class DeadlineExceeded(NoAnswer):
    """The answer did not come in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=True)


class UnexpectedAnswer(HoldfastError):
    """The answer is not from a Holdfast server of this version, but perhaps from a proxy.

    ``retry_after_s`` is the wait that it asks for, if any.
    """

    def __init__(self, message: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class Problem(HoldfastError):
    """A refusal (RFC 9457).

    ``members`` are those besides the standard ones, such as ``missing``; ``retry_after_s`` is the
    wait that the server asks for, if any.
    """

    def __init__(
        self,
        slug: str,
        *,
        status: int,
        detail: str = "",
        members: Members | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{slug}: {detail}" if detail else slug)
        self.slug = slug
        self.status = status
        self.detail = detail
        self.members: Members = dict(members or {})
        self.retry_after_s = retry_after_s

    @property
    def missing(self) -> Mapping[str, int]:
        """What is missing of a price, or the missing levels; empty for other problems."""
        return converted(self.members.get("missing"), dict[str, int], {})


class Unauthorized(Problem):
    """Wrong username or password, or a session that has ended: log in again."""


class Forbidden(Problem):
    """The account's role does not allow this, or nobody may register (``registration-closed``)."""


class NotFound(Problem):
    """There is no such account, asset, order or transfer."""


class Refused(Problem):
    """The rules or the state of the world forbid it now."""


class InvalidRequest(Problem):
    """A field is missing, has the wrong type or is out of bounds; the message names the first."""

    def __str__(self) -> str:
        """Add the first faulty field and its fault."""
        told = [": ".join(filter(None, fault)) for fault in self.errors[:1]]
        return " ".join([super().__str__(), *(f"({' '.join(each.split())})" for each in told)])

    @property
    def errors(self) -> tuple[tuple[str, str], ...]:
        """The field and the message of each fault."""
        told = converted(self.members.get("errors"), list[_Fault], [])
        return tuple((each.field, each.message) for each in told)


class TooManyAttempts(Problem):
    """Too many passwords were tried, or accounts registered.

    ``retry_after_s`` says when to try again, and grows with each attempt. The last attempt was not
    checked, and the client does not retry it by itself.
    """


class TooManyRequests(Problem):
    """The account or its address is over its rate, or has too many event streams open.

    Nothing was done; the client has already retried, after waiting ``retry_after_s``.
    """


class ServerBusy(Problem):
    """The server is overloaded, or its database is unavailable; the client has already retried."""


def problem(
    slug: str, *, status: int, detail: str, members: Members, retry_after_s: float | None
) -> Problem:
    """Make a problem of the class for its status, or for its slug if that is more specific."""
    class_: type[Problem]
    match status:
        case 401:
            class_ = Unauthorized
        case 403:
            class_ = Forbidden
        case 404:
            class_ = NotFound
        case 409:
            class_ = Refused
        case 422:
            class_ = InvalidRequest
        case 429:
            class_ = TooManyAttempts if slug == "too-many-attempts" else TooManyRequests
        case 503 | 504:
            class_ = ServerBusy
        case _:
            class_ = Problem
    return class_(slug, status=status, detail=detail, members=members, retry_after_s=retry_after_s)
