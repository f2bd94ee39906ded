"""Scores, and who has the highest: pure, without Trio, clock or I/O."""

from __future__ import annotations

from heapq import nsmallest

import msgspec


# --8<-- [start:ranking]
class Levels(msgspec.Struct, frozen=True):
    """The part of a stored inventory that counts: built levels; the rest is ignored."""

    levels: dict[str, int] = {}


def score_of(state: str) -> int:
    """Return the score of a stored inventory: the sum of all its levels.

    Raises:
        msgspec.DecodeError: it is not a stored inventory.
    """
    return sum(msgspec.json.decode(state, type=Levels).levels.values())


class Ranking:
    """Every account's latest score."""

    def __init__(self) -> None:
        self._scores: dict[str, int] = {}

    def set(self, account_id: str, score: int) -> None:
        """Set an account's score."""
        self._scores[account_id] = score

    def remove(self, account_id: str) -> None:
        """Forget an account."""
        self._scores.pop(account_id, None)

    def best(self, count: int) -> list[tuple[int, str, int]]:
        """Return rank, account and score of the best; ids begin with a time: older first."""
        found = nsmallest(count, self._scores.items(), key=lambda each: (-each[1], each[0]))
        ranked: list[tuple[int, str, int]] = []
        for place, (account_id, score) in enumerate(found, start=1):
            shared = ranked and ranked[-1][2] == score
            ranked.append((ranked[-1][0] if shared else place, account_id, score))
        return ranked


# --8<-- [end:ranking]
