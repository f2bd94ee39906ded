"""Live sessions in memory: what an access token still needs to count.

The database has the truth. `SessionCache` remembers what was read, within bounds, and forgets it
at once when a session ends or an account changes; `SessionReader` reads what is missing, all that
is wanted at one time in one query.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.authx.errors import InvalidToken
from actors.authx.lru import Lru
from actors.database.errors import DatabaseError
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence
    from datetime import datetime

    import trio

    from actors.authx.messages import Identity
    from actors.authx.tokens import Claims
    from bus import Reply

_READ_BATCH = 500


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session that lives: whose it is, with the account's present role, and until when."""

    identity: Identity
    expires_at: datetime

    def identify(self, claims: Claims, now: datetime) -> Identity:
        """Tell who a verified token of this session speaks for.

        Raises:
            InvalidToken: the session has run out, or is another account's.
        """
        if now >= self.expires_at or claims.sub != self.identity.account_id:
            raise InvalidToken
        return self.identity


class Reading:
    """A read of the database under way; what is dropped meanwhile is not kept from it."""

    __slots__ = ("_cache", "dropped", "dropped_all")

    def __init__(self, cache: SessionCache) -> None:
        self._cache = cache
        self.dropped: set[str] = set()
        self.dropped_all = False

    def keep(self, state: SessionState) -> None:
        """Put what was read into the cache unless it may be out of date already."""
        identity = state.identity
        if self.dropped_all or not self.dropped.isdisjoint(
            (identity.session_id, identity.account_id)
        ):
            return
        self._cache.put(state)


class SessionCache:
    """At most ``sessions_max`` session states, the ones used last.

    ``on_drop`` is called with the id of each session or account that was dropped because it
    changed, whether or not anything of it was remembered.
    """

    __slots__ = ("_by_account", "_on_drop", "_readings", "_states")

    def __init__(self, sessions_max: int, *, on_drop: Callable[[str], None] | None = None) -> None:
        self._on_drop = on_drop
        self._states: Lru[str, SessionState] = Lru(sessions_max)
        self._by_account: dict[str, set[str]] = {}
        self._readings: set[Reading] = set()

    def get(self, session_id: str) -> SessionState | None:
        """Look up a session's state; None says only that it is not known here."""
        return self._states.get(session_id)

    def put(self, state: SessionState) -> None:
        """Remember a state; what comes from the database goes through `reading`."""
        identity = state.identity
        self._by_account.setdefault(identity.account_id, set()).add(identity.session_id)
        evicted = self._states.put(identity.session_id, state)
        if evicted is not None:
            self._unlist(evicted.identity)

    @contextmanager
    def reading(self) -> Generator[Reading, None, None]:
        """Guard a read of the database, from before its query until its states are kept."""
        reading = Reading(self)
        self._readings.add(reading)
        try:
            yield reading
        finally:
            self._readings.discard(reading)

    def drop(self, session_id: str) -> None:
        """Forget a session that has ended."""
        for reading in self._readings:
            reading.dropped.add(session_id)
        state = self._states.pop(session_id)
        if state is not None:
            self._unlist(state.identity)
        self._dropped(session_id)

    def drop_account(self, account_id: str) -> None:
        """Forget every session of an account that has changed."""
        for reading in self._readings:
            reading.dropped.add(account_id)
        for session_id in self._by_account.pop(account_id, ()):
            self._states.pop(session_id)
        self._dropped(account_id)

    def clear(self) -> None:
        """Forget everything."""
        for reading in self._readings:
            reading.dropped_all = True
        self._states.clear()
        self._by_account.clear()

    def __len__(self) -> int:
        """Tell how many states are remembered."""
        return len(self._states)

    def _dropped(self, subject_id: str) -> None:
        if self._on_drop is not None:
            self._on_drop(subject_id)

    def _unlist(self, identity: Identity) -> None:
        sessions = self._by_account[identity.account_id]
        sessions.discard(identity.session_id)
        if not sessions:
            del self._by_account[identity.account_id]


@dataclass(frozen=True, slots=True)
class _Question:
    """A token that waits for its session's state, with the way back to whoever asks."""

    claims: Claims
    reply: Reply[Any]


class SessionReader:
    """Reads the sessions that the cache does not know and answers those who wait for them.

    One read is under way at a time, as a task of ``nursery``; what is asked meanwhile forms the
    next one. ``fetch`` gives the live ones of some session ids, or raises `DatabaseError`, which
    goes to those who waited for that read.
    """

    def __init__(
        self,
        cache: SessionCache,
        fetch: Callable[[Sequence[str]], Awaitable[Sequence[SessionState]]],
        nursery: trio.Nursery,
        *,
        waiting_max: int,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._cache = cache
        self._fetch = fetch
        self._nursery = nursery
        self._waiting_max = waiting_max
        self._wall_clock = wall_clock
        self._waiting: deque[_Question] = deque()
        self._is_reading = False

    def ask(self, claims: Claims, reply: Reply[Any]) -> None:
        """Let a verified token wait for the next read; its answer goes to ``reply``.

        Raises:
            Overloaded: too many wait already.
        """
        if len(self._waiting) >= self._waiting_max:
            raise Overloaded("too many sessions wait to be read")
        self._waiting.append(_Question(claims, reply))
        if not self._is_reading:
            self._is_reading = True
            self._nursery.start_soon(self._read_all)

    async def _read_all(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), _READ_BATCH)
            await self._answer([self._waiting.popleft() for _ in range(size)])
        self._is_reading = False

    async def _answer(self, batch: Sequence[_Question]) -> None:
        with self._cache.reading() as reading:
            try:
                states = await self._fetch(list({question.claims.sid for question in batch}))
            except DatabaseError as error:
                for question in batch:
                    question.reply.fail(error)
                return
            for state in states:
                reading.keep(state)
        found = {state.identity.session_id: state for state in states}
        now = self._wall_clock()
        for question in batch:
            try:
                question.reply.send_nowait(
                    _identified(found.get(question.claims.sid), question.claims, now)
                )
            except InvalidToken as refusal:
                question.reply.fail(refusal)


def _identified(state: SessionState | None, claims: Claims, now: datetime) -> Identity:
    if state is None:
        raise InvalidToken
    return state.identify(claims, now)
