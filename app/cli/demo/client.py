"""A client of the HTTP API: each call says what it was promised, anything else is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import httpx
import msgspec

from app.cli.demo.answers import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class BrokenPromise(Exception):
    """The server did something else than its API promises; the text is one line."""


class Client:
    """One player's connection to the server; ``token`` is sent once there is one."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self.token: str | None = None

    async def get(self, path: str, type_: type[T]) -> T:
        """Read ``path`` as ``type_``."""
        return self.read(await self.send("GET", path, promised=200), type_)

    async def refused(
        self,
        method: str,
        path: str,
        *,
        promised: int,
        slug: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Problem:
        """Send what must be refused with this status and problem, and give the problem."""
        response = await self.send(method, path, promised=promised, body=body, headers=headers)
        problem = self.read(response, Problem)
        if problem.slug != slug:
            raise BrokenPromise(f"{method} {path} was refused as {problem.slug!r}, not {slug!r}")
        return problem

    async def send(
        self,
        method: str,
        path: str,
        *,
        promised: int,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send a request and give the response, which must have the ``promised`` status.

        Raises:
            BrokenPromise: the server cannot be reached, or answers with another status.
        """
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        try:
            response = await self._http.request(method, path, json=body, headers=sent)
        except httpx.ConnectError:
            url = self._http.base_url
            raise BrokenPromise(
                f"no server answers at {url}; start one with 'holdfast serve'"
            ) from None
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise BrokenPromise(f"{method} {path}: {reason}") from None
        if response.status_code != promised:
            said = " ".join(response.text.split())[:200]
            raise BrokenPromise(
                f"{method} {path} was answered {response.status_code}, not {promised}: {said}"
            )
        return response

    def read(self, response: httpx.Response, type_: type[T]) -> T:
        """Read the body of a response as ``type_``.

        Raises:
            BrokenPromise: it is something else.
        """
        try:
            return msgspec.json.decode(response.content, type=type_)
        except msgspec.DecodeError as error:
            request = f"{response.request.method} {response.request.url.path}"
            raise BrokenPromise(f"{request} was answered with another shape: {error}") from None
