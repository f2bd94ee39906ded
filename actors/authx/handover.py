"""The next refresh token of each refresh, kept until it has been handed out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from actors.authx.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.authx.refresh import RefreshToken

KEPT_MAX: Final = 10_000
"""How many next tokens are kept for clients that did not receive the answer to their last refresh.

The token of a client that never returns is kept until this many others: about a kilobyte each.
"""


@dataclass(slots=True)
class NextToken:
    """The token that a refresh hands out: its text for the client, the rest for the database.

    ``is_awaited`` says whether its last requester still waits.
    """

    text: str = field(repr=False)
    token: RefreshToken
    is_awaited: Callable[[], bool] = field(repr=False)


class Handovers:
    """Chooses the next token of a refresh: the one not yet handed out, if there is one.

    A token that nobody received cannot have been stolen. Two callers that wait for the refresh of
    one token at the same time each get their own next one: one of the two is a thief.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: Lru[bytes, NextToken] = Lru(KEPT_MAX)

    def begin(
        self,
        presented: RefreshToken,
        is_awaited: Callable[[], bool],
        issue: Callable[[], tuple[str, RefreshToken]],
    ) -> NextToken:
        """Return the next token for the one presented; ``issue`` makes one if there is none."""
        kept = self._kept.get(presented.digest)
        if kept is not None and not kept.is_awaited():
            kept.is_awaited = is_awaited
            return kept
        following = NextToken(*issue(), is_awaited)
        if kept is None:
            self._kept.put(presented.digest, following)
        return following

    def settle(self, presented: RefreshToken, following: NextToken) -> None:
        """Forget a next token that a waiting caller is about to get, or that was refused.

        One made for another caller is left alone.
        """
        if self._kept.get(presented.digest) is following:
            self._kept.pop(presented.digest)
