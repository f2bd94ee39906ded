"""The Leaderboard over HTTP: a row for the table of endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from app.http.endpoint import Auth, Endpoint
from examples.leaderboard.actor import LEADERBOARD_KEY
from examples.leaderboard.messages import GetLeaderboard

if TYPE_CHECKING:
    from app.http.endpoint import Call
    from examples.leaderboard.messages import Standing


# --8<-- [start:row]
class StandingDetails(msgspec.Struct, frozen=True):
    """One line of the board; accounts of the same score share a rank."""

    rank: int
    username: str
    score: int


class LeaderboardDetails(msgspec.Struct, frozen=True):
    """The best accounts, the best first."""

    standings: list[StandingDetails]


class LeaderboardQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many lines to return."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


async def get_leaderboard(call: Call[None, LeaderboardQuery]) -> LeaderboardDetails:
    """Return the best accounts."""
    message = GetLeaderboard(call.query.limit)
    standings: tuple[Standing, ...] = await call.gateway.ask(message, key=LEADERBOARD_KEY)
    return LeaderboardDetails(
        [StandingDetails(each.rank, each.username, each.score) for each in standings]
    )


LEADERBOARD = (
    Endpoint(
        method="GET",
        path="/v1/leaderboard",
        handler=get_leaderboard,
        summary="The best accounts",
        tag="world",
        auth=Auth.PLAYER,
        query=LeaderboardQuery,
        response=LeaderboardDetails,
    ),
)
# --8<-- [end:row]
"""The endpoints of the leaderboard."""
