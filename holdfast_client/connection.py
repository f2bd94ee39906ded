"""Sends requests until there is an answer, a permanent refusal, or no time left."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import anyio
import httpx
import msgspec

from holdfast_client.errors import (
    CannotConnect,
    DeadlineExceeded,
    HoldfastError,
    InvalidArgument,
    NoAnswer,
    Problem,
    UnexpectedAnswer,
    problem,
)
from holdfast_client.operations import query_string
from holdfast_client.retry import Repeat, may_repeat, retry_after_s
from holdfast_client.shapes import decoded

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from holdfast_client.operations import Operation
    from holdfast_client.requests import Sent
    from holdfast_client.retry import RetryPolicy

T = TypeVar("T")

_TEXT_MAX: Final = 200
"""How much of an unexpected answer an error quotes."""

_KEY: Final = re.compile(r"[!-~]{1,255}")
_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A usual answer; ``replayed`` if a command with this key had taken effect before."""

    value: T
    status: int
    replayed: bool
    request_id: str


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The seconds for a whole call, with all its attempts, and for each attempt."""

    call_s: float
    attempt_s: float


class Connection:
    """The connection to one server, shared by all sessions of a client."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        policy: RetryPolicy,
        deadlines: Deadlines,
        rng: random.Random,
    ) -> None:
        self._http = http
        self._policy = policy
        self._deadlines = deadlines
        self._rng = rng

    async def exchange(
        self,
        operation: Operation[T],
        *values: str,
        query: Sent | None = None,
        body: Sent | None = None,
        key: str | None = None,
        token: str | None = None,
        call_s: float | None = None,
    ) -> Answer[T]:
        """Make a call; ``values`` fill in its path; a missing ``key`` is generated if needed.

        Every attempt of a command carries the same key. A call takes no longer than ``call_s``
        (seconds; default: the client's): if the next attempt would come too late, it ends with the
        last failure. When cancelled, it leaves nothing behind; a command may have taken effect.

        Raises:
            InvalidArgument: these arguments make no request; nothing was sent.
            Problem: the server refuses.
            NoAnswer, UnexpectedAnswer: there is no usable answer.
        """
        headers = {} if token is None else bearer(token)
        if operation.repeat is Repeat.KEYED:
            headers["Idempotency-Key"] = uuid.uuid4().hex if key is None else _checked(key)
        try:
            request = self._request(operation, values, query, body, headers)
        except UnicodeEncodeError:
            raise InvalidArgument(
                "a string contains a lone surrogate, which is not valid Unicode"
            ) from None
        except httpx.InvalidURL as error:
            raise InvalidArgument(f"cannot build a URL from this: {error}") from None
        response = await self._insist(request, operation, call_s or self._deadlines.call_s)
        return _read(response, operation)

    def _request(
        self,
        operation: Operation[Any],
        values: Sequence[str],
        query: Sent | None,
        body: Sent | None,
        headers: dict[str, str],
    ) -> httpx.Request:
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json"
        return self._http.build_request(
            operation.method,
            operation.target(*values),
            params=query_string(query),
            content=content,
            headers=headers,
        )

    async def _insist(
        self, request: httpx.Request, operation: Operation[Any], call_s: float
    ) -> httpx.Response:
        """Send a request, retry if that is harmless, and return its usual answer."""
        deadline = anyio.current_time() + call_s
        for attempt in count(1):
            try:
                return await self._attempt(request, operation, deadline)
            except HoldfastError as failure:
                wait_s = self.wait_s(attempt, failure)
                if (
                    attempt >= self._policy.attempts_max
                    or not may_repeat(failure, operation.repeat)
                    or anyio.current_time() + wait_s >= deadline
                ):
                    raise
            await anyio.sleep(wait_s)
        raise AssertionError  # pragma: no cover - the loop never ends by itself

    async def _attempt(
        self, request: httpx.Request, operation: Operation[Any], deadline: float
    ) -> httpx.Response:
        left_s = min(self._deadlines.attempt_s, deadline - anyio.current_time())
        response: httpx.Response | None = None
        with anyio.move_on_after(left_s):
            response = await send(self._http, request)
        if response is None:
            raise DeadlineExceeded(f"{told(request)}: no answer within {left_s:.3g} s")
        if response.status_code not in {operation.status, *operation.also}:
            raise failure_of(response)
        return response

    def wait_s(self, attempt: int, failure: HoldfastError) -> float:
        """Return the wait, in seconds, before the attempt after ``attempt``."""
        return self._policy.wait_s(attempt, failure, self._rng)

    async def open_stream(
        self, operation: Operation[Any], headers: dict[str, str]
    ) -> httpx.Response:
        """Open an endless answer: return it once its head has arrived; the caller closes it.

        There is only one attempt.

        Raises:
            Problem, NoAnswer, UnexpectedAnswer: as `exchange`.
        """
        attempt_s = self._deadlines.attempt_s
        request = self._http.build_request(
            operation.method,
            operation.target(),
            headers=headers,
            timeout=httpx.Timeout(attempt_s, read=None),
        )
        with anyio.move_on_after(attempt_s):
            response = await send(self._http, request, stream=True)
            if response.status_code == operation.status:
                return response
            try:
                await response.aread()
            except httpx.HTTPError as error:
                raise NoAnswer(f"{told(request)}: {reason(error)}", sent=True) from None
            finally:
                await response.aclose()
            raise failure_of(response)
        raise DeadlineExceeded(f"{told(request)}: no answer within {attempt_s:.3g} s")


def bearer(token: str) -> dict[str, str]:
    """Return the header that authenticates the caller.

    Raises:
        InvalidArgument: no server can have issued this token.
    """
    if _TOKEN.fullmatch(token) is None:
        raise InvalidArgument("an access token must have 1 or more visible ASCII characters")
    return {"Authorization": f"Bearer {token}"}


def _checked(key: str) -> str:
    if _KEY.fullmatch(key) is None:
        raise InvalidArgument("an idempotency key must have 1 to 255 visible ASCII characters")
    return key


async def send(
    http: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False
) -> httpx.Response:
    """Send a request once.

    Raises:
        NoAnswer: nothing came back.
    """
    try:
        return await http.send(request, stream=stream)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        url = str(request.url.copy_with(raw_path=b"/")).rstrip("/")
        raise CannotConnect(f"no server answers at {url}: {reason(error)}") from None
    except httpx.TimeoutException:
        raise DeadlineExceeded(f"{told(request)}: no answer in time") from None
    except httpx.HTTPError as error:
        raise NoAnswer(f"{told(request)}: {reason(error)}", sent=True) from None


def failure_of(response: httpx.Response) -> Problem | UnexpectedAnswer:
    """Make the error for an answer other than the usual one."""
    request = told(response.request)
    status = response.status_code
    wait_s = retry_after_s(response.headers.get("Retry-After"))
    try:
        members = decoded(response.content, dict[str, Any])
        type_ = members.pop("type")
        detail = str(members.pop("detail", ""))
    except (ValueError, KeyError):
        type_, detail, members = None, "", {}
    if not isinstance(type_, str) or status < httpx.codes.BAD_REQUEST:
        # Not httpx's text: the charset that a proxy names may not be a text encoding.
        said = " ".join(response.content.decode(errors="replace").split())[:_TEXT_MAX]
        text = f"{request} was answered {status}: {said}"
        return UnexpectedAnswer(text, status=status, retry_after_s=wait_s)
    for name in ("title", "status"):
        members.pop(name, None)
    return problem(
        type_.rpartition("/")[2],
        status=status,
        detail=detail,
        members=members,
        retry_after_s=wait_s,
    )


def _read(response: httpx.Response, operation: Operation[T]) -> Answer[T]:
    """Decode the body of a usual answer as the type that the call promises."""
    try:
        value = decoded(response.content or b"{}", operation.answer)
    except ValueError as error:
        raise UnexpectedAnswer(
            f"{told(response.request)} was answered in an unexpected shape: {error}",
            status=response.status_code,
        ) from None
    return Answer(
        value,
        response.status_code,
        replayed=response.headers.get("Idempotency-Replayed") == "true",
        request_id=response.headers.get("X-Request-Id", ""),
    )


def told(request: httpx.Request) -> str:
    """Name a request without its query."""
    return f"{request.method} {request.url.path}"


def reason(error: httpx.HTTPError) -> str:
    """Describe an error of httpx in one line: for a failed handshake, its cause has the text."""
    cause: BaseException | None = error
    while cause is not None:
        if text := " ".join(str(cause).split()):
            return text
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
