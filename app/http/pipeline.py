"""From a request to a response: authentication, parsing, the handler, its answer or refusal.

Nothing here depends on Quart: a front passes an `HttpRequest` with its whole body and gets an
`HttpResponse` back, whatever happens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import msgspec

from actors.authx.errors import InvalidCredentials
from app.etags import is_held
from app.http.commands import Commands
from app.http.denials import Denials
from app.http.endpoint import Answer, Auth, Call, Idempotency, Key, PathKind
from app.http.errors import (
    FieldError,
    Forbidden,
    IdempotencyKeyRequired,
    InvalidRequest,
    NotFound,
    NoToken,
    PasswordChangeRequired,
    UnsupportedMediaType,
)
from app.http.exchange import JSON_TYPE, NOT_MODIFIED, HttpResponse
from app.http.gate import Gate
from app.http.json import decode_body
from app.http.problems import problem_of
from app.http.query import QueryDecoder, parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import FilteringBoundLogger

    from actors.authx.messages import Identity
    from app.gateway import Gateway
    from app.http.endpoint import Endpoint
    from app.http.exchange import Headers, HttpRequest

OK = 200

_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
_SECRET_KEY = re.compile(rb"[\x21-\x7e]{16,255}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_NO_STORE = (b"cache-control", b"no-store")
_JSON_HEADERS = ((b"content-type", JSON_TYPE), _NO_STORE)
_EMPTY_HEADERS = (_NO_STORE,)
# Clients may store the answer, and must revalidate it before use.
_KEPT_HEADERS = ((b"content-type", JSON_TYPE), (b"cache-control", b"no-cache"))

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Bound:
    """An endpoint with everything precomputed that does not depend on the request.

    ``commands`` reads the bodies of those that require an ``Idempotency-Key``.
    """

    endpoint: Endpoint
    parameters: Mapping[str, PathKind]
    query: QueryDecoder[Any] | None
    commands: Commands | None


def bind(endpoint: Endpoint) -> Bound:
    """Prepare an endpoint for `Pipeline.respond`.

    Raises:
        ValueError: a path parameter is of an unknown kind.
        TypeError: the query type is not a struct.
    """
    query = None if endpoint.query is None else QueryDecoder(endpoint.query)
    commands = Commands(endpoint.request) if endpoint.key is Key.REQUIRED else None
    return Bound(endpoint, endpoint.parameters(), query, commands)


class Pipeline:
    """Answers requests with the table's handlers; every error becomes a problem."""

    def __init__(
        self, gateway: Gateway, *, log: FilteringBoundLogger, gate: Gate | None = None
    ) -> None:
        self._gateway = gateway
        self._gate = gate or Gate()
        self._log = log
        self._denials = Denials(log)

    async def respond(
        self, bound: Bound, request: HttpRequest, path: Mapping[str, str]
    ) -> HttpResponse:
        """Answer a request; raises only cancellations."""
        endpoint = bound.endpoint
        in_hand = False
        try:
            if endpoint.limited:
                self._gate.begin()
                in_hand = True
            answer = await endpoint.handler(await self.admit(bound, request, path))
            if endpoint.etag is not None:
                return _kept(endpoint.etag(self._gateway), answer, request)
            return _response(endpoint, answer)
        # The edge of the program: whatever a handler raises, the client gets a problem.
        except Exception as error:  # noqa: BLE001
            if isinstance(error, InvalidCredentials):
                self._tell_refused(error, request)
            return self.refuse(error, request.request_id)
        finally:
            if in_hand:
                self._gate.end()

    def _tell_refused(self, refusal: InvalidCredentials, request: HttpRequest) -> None:
        """Log a wrong password, never the username tried, which may be a password itself.

        Each has cost a hash, so there are never many of them at a time.
        """
        trail = request.trail
        self._log.info(
            "password_refused",
            route=trail.route,
            client=trail.client,
            account_id=refusal.account_id,
        )

    def refuse(self, error: Exception, request_id: str) -> HttpResponse:
        """Render an error as a problem, and log it if it is unexpected."""
        problem = problem_of(error)
        if problem.unforeseen:
            self._log.error("request_failed", request_id=request_id, exc_info=error)
        return problem.response()

    async def admit(
        self, bound: Bound, request: HttpRequest, path: Mapping[str, str]
    ) -> Call[Any, Any]:
        """Check everything about a request in the order in which a client would fix it.

        For `respond`, and for event streams. Raises the error to refuse the request with; see
        `refuse`.
        """
        endpoint = bound.endpoint
        identity = None
        if endpoint.auth is not Auth.NONE:
            identity = await self._authorize(endpoint, request)
        names = _path_values(bound, path) if path else path
        has_query = bound.query is not None or request.query
        query = _query(bound, request.query) if has_query else None
        body = idempotency = None
        key = ""
        if endpoint.request is not None:
            why_not = request.headers.why_not_json()
            if why_not:
                raise UnsupportedMediaType(why_not)
        if bound.commands is not None:
            body, digest = bound.commands.read(request)
            idempotency = Idempotency(_idempotency_key(request.headers), digest)
        elif endpoint.request is not None:
            body = decode_body(request.body, endpoint.request)
            if endpoint.key is Key.OPTIONAL:
                key = _secret_key(request.headers)
        client = request.trail.client if endpoint.tries_password else ""
        return Call(
            self._gateway,
            request.request_id,
            names,
            body,
            query,
            identity,
            idempotency,
            self._gate.limited_as(client) if client else "",
            client,
            request.has_hung_up,
            key,
        )

    async def _authorize(self, endpoint: Endpoint, request: HttpRequest) -> Identity:
        token = request.headers.bearer_token()
        if token is None:
            raise NoToken
        identity = await self._gateway.authorize(token)
        account_id = request.trail.account_id = identity.account_id
        self._gate.authorized(account_id)
        is_denied = endpoint.auth is Auth.ADMIN and identity.role != Auth.ADMIN.value
        if is_denied:
            self._denials.tell(request.trail, account_id)
        if identity.must_change_password and not endpoint.before_password_change:
            raise PasswordChangeRequired("change the one-time password first")
        if is_denied:
            raise Forbidden("this requires the role admin")
        return identity


def _path_values(bound: Bound, path: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in path.items():
        if bound.parameters[name] is PathKind.UUID:
            values[name] = value.lower()
            fits = _UUID.fullmatch(values[name]) is not None
        else:
            values[name] = value
            fits = value.isprintable()
        if not fits:
            raise NotFound("there is nothing with this name", bound.endpoint.absent)
    return values


def _query(bound: Bound, query: bytes) -> object:
    if bound.query is not None:
        return bound.query.decode(query)
    if query:
        unknown = parameters(query)
        if unknown:
            raise InvalidRequest(*(FieldError(name, "unknown parameter") for name in unknown))
    return None


def _secret_key(headers: Headers) -> str:
    """Return an optional key, empty if there is none; a short one could be guessed."""
    values = headers.all(b"idempotency-key")
    if not values:
        return ""
    if len(values) == 1 and _SECRET_KEY.fullmatch(values[0]) is not None:
        return values[0].decode("ascii")
    rule = "16 to 255 visible ASCII characters that nobody can guess, given once"
    raise InvalidRequest(FieldError("Idempotency-Key", rule))


def _idempotency_key(headers: Headers) -> str:
    values = headers.all(b"idempotency-key")
    if len(values) == 1 and _IDEMPOTENCY_KEY.fullmatch(values[0]) is not None:
        return values[0].decode("ascii")
    if not values or values == [b""]:
        raise IdempotencyKeyRequired("send a fresh Idempotency-Key header with each new command")
    rule = "1 to 255 visible ASCII characters, given once"
    raise InvalidRequest(FieldError("Idempotency-Key", rule))


def _kept(etag: bytes, answer: object, request: HttpRequest) -> HttpResponse:
    """Render an answer that clients may cache; 304 if the client's copy is current."""
    held = is_held(etag, request.headers.all(b"if-none-match"))
    status = NOT_MODIFIED if held else OK
    return HttpResponse(status, (*_KEPT_HEADERS, (b"etag", etag)), _encode(answer))


def _response(endpoint: Endpoint, answer: object) -> HttpResponse:
    status = endpoint.status
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(answer, Answer):
        status, extra = answer.status or status, answer.headers
        answer = cast("Answer[object]", answer).body
    if endpoint.response is None:
        return HttpResponse(status, (*_EMPTY_HEADERS, *extra), b"")
    return HttpResponse(status, (*_JSON_HEADERS, *extra), _encode(answer))
