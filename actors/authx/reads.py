"""Reads of what is not cached: everything wanted at one time in one query."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actors.authx.errors import AuthxError
from actors.database.errors import DatabaseError
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import trio

    from actors.authx.remembered import Remembered
    from bus import Reply

T = TypeVar("T")

READ_BATCH = 500
"""The maximum number of keys in one query."""


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    """A key waiting to be read, with its caller's reply."""

    key: str
    finish: Callable[[T | None], object]
    reply: Reply[Any]


class BatchedReads(Generic[T]):
    """Reads what ``remembered`` does not hold and answers the callers waiting for it.

    One read is in flight at a time, as a task of ``nursery``; keys asked for meanwhile form the
    next one. ``fetch`` returns what exists of some keys, or raises `DatabaseError`, which goes to
    the callers of that read.
    """

    def __init__(
        self,
        remembered: Remembered[T],
        fetch: Callable[[Sequence[str]], Awaitable[Sequence[T]]],
        nursery: trio.Nursery,
        *,
        waiting_max: int,
    ) -> None:
        self._remembered = remembered
        self._fetch = fetch
        self._nursery = nursery
        self._waiting_max = waiting_max
        self._waiting: deque[_Question[T]] = deque()
        self._is_reading = False

    def ask(self, key: str, finish: Callable[[T | None], object], reply: Reply[Any]) -> None:
        """Let a key wait for the next read; ``finish`` turns its result into the answer.

        ``finish`` may refuse with an `AuthxError` instead.

        Raises:
            Overloaded: too many are waiting already.
        """
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded("too many reads of accounts and sessions are waiting")
        self._waiting.append(_Question(key, finish, reply))
        if not self._is_reading:
            self._is_reading = True
            self._nursery.start_soon(self._read_all)

    async def _read_all(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), READ_BATCH)
            await self._answer([self._waiting.popleft() for _ in range(size)])
        self._is_reading = False

    async def _answer(self, batch: Sequence[_Question[T]]) -> None:
        with self._remembered.reading() as reading:
            try:
                items = await self._fetch(list({question.key for question in batch}))
            except DatabaseError as error:
                for question in batch:
                    question.reply.fail(error)
                return
            for item in items:
                reading.keep(item)
        found = {self._remembered.names_of(item)[0]: item for item in items}
        for question in batch:
            try:
                question.reply.send_nowait(question.finish(found.get(question.key)))
            except AuthxError as refusal:
                question.reply.fail(refusal)
