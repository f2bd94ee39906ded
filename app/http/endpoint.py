"""What an endpoint is: a row of the declarative table, and the call that its handler gets.

A handler is a plain async function from a typed `Call` to a typed answer. It knows neither Quart
nor headers, so that any front can serve the same table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from actors.authx.errors import InvalidToken
from actors.authx.messages import Identity
from actors.inventory.views import OrderView
from app.gateway import Gateway
from app.http.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT")
AnswerT = TypeVar("AnswerT")

ACTORS: Final = ("unavailable", "actor-stopped", "reply-timeout")
"""The problems of whatever has to be asked of an actor, beside those of any call."""

_PARAMETER = re.compile(r"\{(?P<name>[a-z_]+):(?P<kind>[a-z]+)\}")


class Auth(Enum):
    """Who may call an endpoint."""

    NONE = "none"
    PLAYER = "player"
    ADMIN = "admin"


class PathKind(Enum):
    """What a parameter in a path may be; anything else is not found."""

    UUID = "uuid"
    TEXT = "text"


class Idempotency(msgspec.Struct, frozen=True, gc=False):
    """What makes a command sent twice take effect once: its key, and a digest of the request."""

    key: str
    fingerprint: bytes


class Call(msgspec.Struct, Generic[BodyT, QueryT], frozen=True, gc=False):
    """One request as its handler sees it; a part that the endpoint does not declare is None.

    ``address`` is what the limits per address know its client under, where the endpoint
    ``tries_password``; empty where none holds. ``orders_shown`` is the server's memory of orders as
    they were shown, encoded.
    """

    gateway: Gateway
    request_id: str
    path: Mapping[str, str]
    body: BodyT
    query: QueryT
    identity: Identity | None = None
    idempotency: Idempotency | None = None
    address: str = ""
    orders_shown: Memo[OrderView, msgspec.Raw] = msgspec.field(
        default_factory=Memo[OrderView, msgspec.Raw]
    )

    @property
    def caller(self) -> Identity:
        """Who calls.

        Raises:
            InvalidToken: the endpoint lets anybody call.
        """
        if self.identity is None:
            raise InvalidToken("nobody is logged in")
        return self.identity

    @property
    def command(self) -> Idempotency:
        """The command's key and fingerprint.

        Raises:
            LookupError: the endpoint is not declared idempotent.
        """
        if self.idempotency is None:
            raise LookupError("this endpoint does not take an Idempotency-Key")
        return self.idempotency


class Answer(msgspec.Struct, Generic[AnswerT], frozen=True, gc=False):
    """An answer that is not the endpoint's usual one: another status, or headers of its own."""

    body: AnswerT
    status: int | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


# The table holds handlers of every type; what each takes and gives stands beside it in its row.
Handler: TypeAlias = "Callable[[Call[Any, Any]], Awaitable[Any]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the table.

    - ``path``: a template; ``{order_id:uuid}`` is a parameter of a `PathKind`.
    - ``auth``: who may call it. Everybody is said so, too: nothing is open by omission.
    - ``request``, ``query``, ``response``: the types of body, query string and answer; None
      where there is none.
    - ``status``: of the usual answer; ``also`` describes others that are no problems.
    - ``errors``: slugs of the problems beside those that follow from the other columns.
    - ``absent``: slug of the 404 for a path parameter that cannot name anything.
    - ``before_password_change``: whoever has a one-time password may call it all the same.
    - ``idempotent``: the request must carry an ``Idempotency-Key``.
    - ``limited``: who asks too often, or when too much is in hand, is held back.
    - ``tries_password``: the request carries a password that is checked, or a new account's;
      where it comes from counts.
    - ``etag``: gives the tag of the answer as it is now, which a client may keep and then ask
      whether it still is so; None where it is never to be kept.
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
    idempotent: bool = False
    limited: bool = True
    tries_password: bool = False
    etag: Callable[[Gateway], bytes] | None = None

    @property
    def name(self) -> str:
        """The handler's name: unique in the table."""
        return str(getattr(self.handler, "__name__", self.handler))

    def parameters(self) -> dict[str, PathKind]:
        """Give the parameters of the path, in order.

        Raises:
            ValueError: one is of no known kind.
        """
        found = _PARAMETER.finditer(self.path)
        return {match["name"]: PathKind(match["kind"]) for match in found}

    @property
    def template(self) -> str:
        """The path with each parameter's name in braces, as OpenAPI writes it."""
        return _PARAMETER.sub(r"{\g<name>}", self.path)
