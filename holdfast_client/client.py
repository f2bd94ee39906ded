"""The client itself: login, and the public calls."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING, Self, TypeVar

import anyio
import httpx

from holdfast_client import operations, requests
from holdfast_client.connection import Connection, Deadlines
from holdfast_client.credentials import Credentials
from holdfast_client.retry import RetryPolicy
from holdfast_client.session import Session

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from holdfast_client.connection import Answer
    from holdfast_client.operations import Operation
    from holdfast_client.requests import Sent
    from holdfast_client.types import (
        Readiness,
        RegisteredAccount,
        Ruleset,
        SessionTokens,
        World,
    )

T = TypeVar("T")


class Client:
    """A client of the Holdfast server at ``url``; an async context manager.

    ``timeout_s`` bounds each call with all its attempts, ``attempt_timeout_s`` each attempt.
    Requests that are safe to repeat are retried according to ``retries``. ``tls`` sets the trusted
    certificates, in place of the usual authorities. ``transport`` replaces how httpx connects (a
    proxy, your own certificates, or a test's server); without it nothing is taken from the
    environment.

    Works under Trio and asyncio. Any call can be cancelled; a cancelled command may have taken
    effect, and returns its answer again under the same key.

    Raises:
        ValueError: ``url`` is not that of a server.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 30.0,
        attempt_timeout_s: float = 10.0,
        retries: RetryPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=_base_url(url),
            timeout=attempt_timeout_s,
            verify=True if tls is None else tls,
            transport=transport,
            trust_env=False,
        )
        self._connection = Connection(
            self._http,
            policy=retries or RetryPolicy(),
            deadlines=Deadlines(timeout_s, attempt_timeout_s),
            # Waits must differ between clients; no secret is drawn.
            rng=rng or random.Random(secrets.randbits(64)),  # noqa: S311
        )

    async def __aenter__(self) -> Self:
        """Open it; nothing is sent yet."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close every connection; sessions stay open on the server."""
        await self._http.aclose()

    async def exchange(
        self,
        operation: Operation[T],
        *values: str,
        query: Sent | None = None,
        body: Sent | None = None,
        key: str | None = None,
        token: str | None = None,
    ) -> Answer[T]:
        """Make any call of `holdfast_client.operations`; see `Connection.exchange`."""
        return await self._connection.exchange(
            operation, *values, query=query, body=body, key=key, token=token
        )

    async def register(self, username: str, password: str) -> RegisteredAccount:
        """Make an account.

        Raises:
            Refused: ``username-taken``.
            Forbidden: ``registration-closed``; the operator makes the accounts.
            TooManyAttempts: too many were made from here; it says how long to wait.
            InvalidRequest: the name or the password is not acceptable.
        """
        body = requests.Credentials(username, password)
        return (await self.exchange(operations.REGISTER, body=body)).value

    async def log_in(self, username: str, password: str) -> Session:
        """Open a session.

        Raises:
            Unauthorized: ``invalid-credentials``.
            TooManyAttempts: too many failed logins; ``retry_after_s`` is the wait.
        """
        began = anyio.current_time()
        body = requests.Credentials(username, password)
        answer = await self.exchange(operations.LOG_IN, body=body)
        credentials = Credentials(self._connection, answer.value, obtained_at=began)
        return Session(self._connection, credentials)

    def resume(self, tokens: SessionTokens) -> Session:
        """Resume a session with its latest tokens (`Session.tokens`); nothing is sent yet."""
        return Session(self._connection, Credentials(self._connection, tokens))

    async def world(self) -> World:
        """Return the world's name, rules and clock."""
        return (await self.exchange(operations.WORLD)).value

    async def ruleset(self) -> Ruleset:
        """Return the whole ruleset."""
        return (await self.exchange(operations.RULESET)).value

    async def readiness(self) -> Readiness:
        """Return whether the server is ready, and the state of each of its parts."""
        return (await self.exchange(operations.READINESS)).value


def _base_url(url: str) -> httpx.URL:
    try:
        base = httpx.URL(url)
        # What no resolver takes: httpx would find that out only when it connects.
        base.raw_host.decode("ascii").encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{url!r} is not a URL: {error}") from None
    if base.scheme not in {"http", "https"} or not base.host:
        raise ValueError(f"{url!r} is not a URL of a server, such as http://127.0.0.1:8470")
    return base
