"""A session's tokens: sent with each call, renewed before they expire or once they are refused."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import anyio
import anyio.lowlevel
import msgspec

from holdfast_client import operations, requests
from holdfast_client.errors import HoldfastError, Unauthorized

if TYPE_CHECKING:
    from holdfast_client.connection import Connection
    from holdfast_client.types import SessionTokens

_AHEAD_S: Final = 30.0
_AHEAD_SHARE: Final = 0.1
"""A token is renewed before it expires, by this share of its life or `_AHEAD_S`, if less."""

_REFRESH_S: Final = 5.0
"""How long a refresh may take, even if its caller was cancelled meanwhile."""


class Credentials:
    """The tokens of one session; ``tokens`` are the latest.

    However many calls find the token expired, one of them renews it and the others wait for that.
    A refresh in progress is not cancelled with its caller: it spends the old refresh token, and
    without the new one the session would be lost. If its answer is lost, the next refresh carries
    the same idempotency key, and is given the same refresh token.
    """

    def __init__(
        self, connection: Connection, tokens: SessionTokens, *, obtained_at: float | None = None
    ) -> None:
        self._connection = connection
        self._lock = anyio.Lock()
        self._renew_at = _renew_at(tokens, obtained_at)
        self._key = _new_key()
        self.tokens = tokens

    @property
    def renewable(self) -> bool:
        """Whether another token can be obtained."""
        return bool(self.tokens.refresh_token)

    def close(self) -> None:
        """Forget the refresh token: the session has ended."""
        self.tokens = msgspec.structs.replace(self.tokens, refresh_token="")
        self._renew_at = float("inf")

    async def access_token(self) -> str:
        """Return a token that stays valid for a while.

        Raises:
            Unauthorized: the session has ended.
            NoAnswer, Problem, UnexpectedAnswer: it cannot be renewed now.
        """
        if anyio.current_time() >= self._renew_at:
            await self.renew(self.tokens.access_token)
        return self.tokens.access_token

    async def renew(self, used: str) -> None:
        """Get a new token in place of ``used``, unless another call has done so meanwhile.

        Raises: as `access_token`.
        """
        async with self._lock:
            if self.tokens.access_token != used:
                return
            if not self.renewable:
                raise Unauthorized("invalid-token", status=401, detail="the session has ended")
            try:
                with anyio.CancelScope(shield=True):
                    await self._refresh()
            except HoldfastError:
                # A caller cancelled meanwhile gets its cancellation, not the refresh's failure.
                await anyio.lowlevel.checkpoint_if_cancelled()
                raise

    async def _refresh(self) -> None:
        answer = await self._connection.exchange(
            operations.REFRESH,
            body=requests.RefreshBody(self.tokens.refresh_token),
            key=self._key,
            call_s=_REFRESH_S,
        )
        self.tokens = answer.value
        self._key = _new_key()
        self._renew_at = _renew_at(answer.value, anyio.current_time())


def _new_key() -> str:
    """Return the key of the next refresh, which nobody can guess."""
    return uuid.uuid4().hex


def _renew_at(tokens: SessionTokens, obtained_at: float | None) -> float:
    """Return the time on the loop's clock from which a token is renewed before use.

    Tokens of unknown age are used until they are refused.
    """
    if obtained_at is None:
        return float("inf")
    return obtained_at + tokens.expires_in - min(_AHEAD_S, tokens.expires_in * _AHEAD_SHARE)
