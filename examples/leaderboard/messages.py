"""The messages of a Leaderboard, and its answers."""

from __future__ import annotations

from dataclasses import dataclass


# --8<-- [start:messages]
@dataclass(frozen=True, slots=True)
class GetLeaderboard:
    """Answers the best ``limit`` accounts as a tuple of `Standing`, the best first.

    Sent on topic ``task`` with the key ``leaderboard``.
    """

    limit: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One line of the board; accounts of the same score share a rank."""

    rank: int
    account_id: str
    username: str
    score: int


# --8<-- [end:messages]
