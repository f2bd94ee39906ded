"""The next refresh token of each refresh, kept until somebody has been given it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from actors.authx.lru import Lru

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.authx.refresh import RefreshToken

KEPT_MAX: Final = 10_000
"""How many next tokens are kept for those who were not told of their last refresh.

Who never comes again has his kept until so many others have come: about a kilobyte each.
"""


@dataclass(slots=True)
class NextToken:
    """What a refresh is to hand out: its text for the client, the rest for the database.

    ``is_awaited`` tells whether whoever asked for it last still waits.
    """

    text: str = field(repr=False)
    token: RefreshToken
    is_awaited: Callable[[], bool] = field(repr=False)


class Handovers:
    """Says which next token a refresh is to give: the one that was not given, if there is one.

    What nobody was given cannot have been stolen. Two who wait for the refresh of one token at
    the same time each have a next one of their own: one of the two is a thief.
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
        """Give the next token for the one presented; ``issue`` makes one where there is none."""
        kept = self._kept.get(presented.digest)
        if kept is not None and not kept.is_awaited():
            kept.is_awaited = is_awaited
            return kept
        following = NextToken(*issue(), is_awaited)
        if kept is None:
            self._kept.put(presented.digest, following)
        return following

    def settle(self, presented: RefreshToken, following: NextToken) -> None:
        """Forget a next token that whoever waits is about to get, or that was refused.

        One that was made for another asker is left alone.
        """
        if self._kept.get(presented.digest) is following:
            self._kept.pop(presented.digest)
