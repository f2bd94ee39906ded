"""The Leaderboard actor: ranks all accounts, and returns the best on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from actors.authx.errors import UnknownAccount
from actors.authx.messages import GetAccount
from actors.shutdown import Phase, Shutdown
from actors.storage import Read, StorageError
from actors.ticker import Tick
from bus import BusError, Topic
from examples.leaderboard.messages import GetLeaderboard, Standing
from examples.leaderboard.ranking import Ranking, score_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from actors.authx.messages import Account
    from actors.storage import StorageClient
    from bus import Bus, Message, Subscription

LEADERBOARD_KEY: Final = "leaderboard"
"""The key of the Leaderboard's messages on topic ``task``."""

OVERLAP_MS: Final = 60_000
"""How far back each look goes: longer than a commit can be in flight."""

_REPLY_S: Final = 5.0


# --8<-- [start:class]
class Leaderboard:
    """Answers `GetLeaderboard`; its data is at most ``refresh_ms`` of world time old.

    It owns nothing: all its data is read from Storage, and read again after a restart.
    """

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        storage: StorageClient,
        *,
        size: int,
        refresh_ms: int,
        log: FilteringBoundLogger,
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._storage = storage
        self._size = size
        self._refresh_ms = refresh_ms
        self._log = log

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Rank until `Phase.WORLD`; cancelling it loses nothing, because it writes nothing.

        Raises:
            BusError, StorageError: the first look failed; later ones are retried.
        """
        with self._subscription.answering():
            board = _Board()
            await self._refresh(board)
            async with trio.open_nursery() as nursery:
                task_status.started()
                await self._answer(board, nursery)
                nursery.cancel_scope.cancel()

    # --8<-- [end:class]

    # --8<-- [start:answer]
    async def _answer(self, board: _Board, nursery: trio.Nursery) -> None:
        async for message in self._subscription:
            match message.body:
                case Shutdown(phase=phase):
                    if phase >= Phase.WORLD:
                        break
                case Tick(now_ms=now_ms):
                    if now_ms >= board.due_ms:
                        board.due_ms = now_ms + self._refresh_ms
                        nursery.start_soon(self._try_to_refresh, board)
                case GetLeaderboard(limit=limit):
                    if message.reply is not None:
                        message.reply.send_nowait(board.standings[:limit])
                case _:
                    self._refuse(message)
        # From now on callers learn at once that nobody is here.
        self._subscription.close()

    # --8<-- [end:answer]

    def _refuse(self, message: Message) -> None:
        self._log.error("message_not_understood", topic=message.topic.value)
        self._subscription.drop(message)

    # --8<-- [start:refresh]
    async def _try_to_refresh(self, board: _Board) -> None:
        try:
            await self._refresh(board)
        except (BusError, StorageError) as error:
            # The old board stays; the next look starts where the last good one did.
            self._log.warning("leaderboard_delayed", error=str(error))

    async def _refresh(self, board: _Board) -> None:
        since_ms = board.seen_ms - OVERLAP_MS
        [rows] = await self._storage.read(
            Read("inventories", ("account_id", "at_ms", "state"), above=("at_ms", since_ms))
        )
        for row in rows:
            board.ranking.set(row["account_id"], score_of(row["state"]))
            board.seen_ms = max(board.seen_ms, row["at_ms"])
        board.standings = await self._named(board.ranking)

    async def _named(self, ranking: Ranking) -> tuple[Standing, ...]:
        """Return the best with their names; an erased account makes room for the next."""
        while True:
            standings: list[Standing] = []
            for rank, account_id, score in ranking.best(self._size):
                name = await self._name_of(account_id)
                if name is None:
                    ranking.remove(account_id)
                    break
                standings.append(Standing(rank, account_id, name, score))
            else:
                return tuple(standings)

    async def _name_of(self, account_id: str) -> str | None:
        try:
            account: Account = await self._bus.ask(
                Topic.AUTH, GetAccount(account_id), timeout_s=_REPLY_S
            )
        except UnknownAccount:
            return None
        return account.username

    # --8<-- [end:refresh]


class _Board:
    """The state of one run of the actor; a restarted one begins empty."""

    def __init__(self) -> None:
        self.ranking = Ranking()
        self.standings: tuple[Standing, ...] = ()
        self.seen_ms = 0
        self.due_ms = 0
