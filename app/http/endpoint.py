"""Endpoints: the rows of the declarative table, and the call that a handler receives.

A handler is a plain async function from a typed `Call` to a typed answer. It knows neither Quart
nor headers, so any front can serve the same table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from actors.authx.errors import InvalidToken
from actors.authx.messages import Identity
from app.gateway import Gateway
from app.http.exchange import never

if TYPE_CHECKING:
    from collections.abc import Awaitable


BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")
AnswerT = TypeVar("AnswerT")

ACTORS: Final = ("unavailable", "actor-stopped", "reply-timeout")
"""The problems of any call that asks an actor, besides those of every call."""

_PARAMETER = re.compile(r"\{(?P<name>[a-z_]+):(?P<kind>[a-z]+)\}")


class Auth(Enum):
    """Who may call an endpoint."""

    NONE = "none"
    PLAYER = "player"
    ADMIN = "admin"


class PathKind(Enum):
    """The form of a path parameter; anything else is not found."""

    UUID = "uuid"
    TEXT = "text"


class Key(Enum):
    """Whether a request carries an ``Idempotency-Key``.

    An optional one is a secret: whoever sends it with the same request gets the same answer.
    """

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Idempotency(msgspec.Struct, frozen=True, gc=False):
    """What makes a command sent twice take effect once: its key and a digest of the request."""

    key: str
    fingerprint: bytes


class Call(msgspec.Struct, Generic[BodyT, QueryT], frozen=True, gc=False):
    """One request as its handler sees it; parts that the endpoint does not declare are None.

    If the endpoint ``tries_password``, ``address`` is the key of its client in the limits per
    address, empty if no limit applies, and ``client`` is the address itself, for the log.
    ``has_hung_up`` is that of `HttpRequest`. ``key`` is the ``Idempotency-Key`` where it is
    optional, empty if there is none.
    """

    gateway: Gateway
    request_id: str
    path: Mapping[str, str]
    body: BodyT
    query: QueryT
    identity: Identity | None = None
    idempotency: Idempotency | None = None
    address: str = ""
    client: str = ""
    has_hung_up: Callable[[], bool] = never
    key: str = ""

    @property
    def caller(self) -> Identity:
        """The identity of the caller.

        Raises:
            InvalidToken: the endpoint requires no token.
        """
        if self.identity is None:
            raise InvalidToken("nobody is logged in")
        return self.identity

    @property
    def command(self) -> Idempotency:
        """The command's key and fingerprint.

        Raises:
            LookupError: the endpoint does not require a key.
        """
        if self.idempotency is None:
            raise LookupError("this endpoint does not require an Idempotency-Key")
        return self.idempotency


class Answer(msgspec.Struct, Generic[AnswerT], frozen=True, gc=False):
    """An answer other than the endpoint's usual one: another status, or its own headers."""

    body: AnswerT
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


# The table holds handlers of every type; the row declares what each takes and returns.
Handler: TypeAlias = "Callable[[Call[Any, Any]], Awaitable[Any]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the table.

    - ``path``: a template; ``{order_id:uuid}`` is a parameter of a `PathKind`.
    - ``auth``: who may call it. Public access is explicit, too: nothing is open by omission.
    - ``request``, ``query``, ``response``: the types of body, query string and answer; None
      where there is none.
    - ``status``: of the usual answer; ``also`` describes others that are not problems.
    - ``errors``: slugs of the problems besides those that follow from the other columns.
    - ``absent``: slug of the 404 for a path parameter that cannot name anything.
    - ``before_password_change``: callers with a one-time password may call it too.
    - ``key``: whether the request must, or may, carry an ``Idempotency-Key``.
    - ``limited``: subject to the rate limits and to the limit of requests in flight.
    - ``tries_password``: the request carries a password to check, or a new account's, and its
      client's address is limited.
    - ``etag``: returns the current entity tag of an answer that clients may cache and revalidate;
      None if it must never be cached.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    auth: Auth
    request: type[Any] | None = None
    query: type[Any] | None = None
    response: Any = None
    status: int = 200
    also: tuple[tuple[int, str], ...] = ()
    errors: tuple[str, ...] = ()
    absent: str = "not-found"
    before_password_change: bool = False
    key: Key = Key.NONE
    limited: bool = True
    tries_password: bool = False
    etag: Callable[[Gateway], bytes] | None = None

    @property
    def name(self) -> str:
        """The handler's name: unique in the table."""
        return str(getattr(self.handler, "__name__", self.handler))

    def parameters(self) -> dict[str, PathKind]:
        """Return the parameters of the path, in order.

        Raises:
            ValueError: one is of an unknown kind.
        """
        found = _PARAMETER.finditer(self.path)
        return {match["name"]: PathKind(match["kind"]) for match in found}

    @property
    def template(self) -> str:
        """The path with each parameter's name in braces, as OpenAPI writes it."""
        return _PARAMETER.sub(r"{\g<name>}", self.path)
