"""Follows one account for one session: what to send, when, and for how long; knows no wire.

It sleeps until something is published under its account or session, until a stock is full, or
until the next heartbeat. It then checks whether its token is still valid, reads the ledger from its
position, and sends what is new. It buffers no events: a slow client holds up only itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

import trio

from actors.authx.errors import InvalidToken
from actors.authx.messages import Authorize, ListSessions
from actors.database.errors import DatabaseError
from actors.inventory.errors import AccountGone
from actors.inventory.events import LedgerAdvanced
from actors.inventory.messages import GetEvents
from actors.storage import StorageError
from app.http.streams.translate import SESSION_ENDED, TOKEN_EXPIRED, events_of, snapshot_of
from bus import BusError, Delivery, Message, Topic

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from actors.authx.messages import Identity
    from actors.inventory.views import EventPage
    from app.gateway import Gateway
    from app.http.streams.settings import StreamSettings
    from app.http.streams.translate import WireEvent

RETRY_S = 1.0
"""How long to wait before retrying a question that could not be answered."""

_LOOK_S_MIN = 0.25
_NOTE = Message(Topic.EVENT, object())
_PASSING = (BusError, DatabaseError, StorageError)


class Outlet(Protocol):
    """Where a follower's events go; sending waits until the client has taken them."""

    async def tell(self, events: Sequence[WireEvent]) -> None:
        """Send some events."""
        ...

    async def beat(self) -> None:
        """Send a heartbeat."""
        ...

    async def heed(self) -> None:
        """Handle what the follower was interrupted for."""
        ...


class Follower:
    """One account's events, from ``after`` on, for as long as ``token`` is valid.

    As a context manager it holds the subscription to the wake-ups. Call `begin`, then `follow`.
    """

    __slots__ = (
        "_beat_at",
        "_gateway",
        "_identity",
        "_last",
        "_look_at",
        "_replaced",
        "_rng",
        "_settings",
        "_subscription",
        "_token",
    )

    def __init__(
        self,
        gateway: Gateway,
        identity: Identity,
        token: str,
        after: int | None,
        *,
        settings: StreamSettings,
        rng: random.Random,
    ) -> None:
        self._gateway = gateway
        self._identity = identity
        self._token = token
        self._last = after
        self._settings = settings
        self._rng = rng
        self._look_at = float("inf")
        self._beat_at = self._next_beat()
        self._subscription = gateway.follow(identity.account_id, identity.session_id)
        self._replaced = 0

    def __enter__(self) -> Self:
        """Follow for as long as the context lasts."""
        return self

    def __exit__(self, *_: object) -> None:
        """Unsubscribe from the bus."""
        self._subscription.close()

    async def begin(self) -> list[WireEvent]:
        """Read the first page: a snapshot, or what has happened after the given id.

        Raises what `Gateway.inventory` does: nothing has been sent yet.
        """
        return await self._read()

    def interrupt(self) -> None:
        """Make the outlet heed something, as soon as nothing else is in progress."""
        # A note to itself wakes it like a message from the bus, and displaces none.
        self._subscription.put(_NOTE, Delivery.URGENT)

    async def follow(self, outlet: Outlet) -> str:
        """Send what happens until the session ends or the token expires; return which.

        Raises:
            InventoryError: the inventory cannot be read any more.
            Exception: anything that the outlet raises, which ends the stream.
        """
        while True:
            body = await self._wait()
            if body is _NOTE.body:
                await outlet.heed()
                continue
            news = self._is_news(body)
            now = trio.current_time()
            if now >= self._beat_at:
                self._beat_at = self._next_beat()
                await outlet.beat()
            elif not (self._missed_some() or news) and now < self._look_at:
                continue
            try:
                ending = await self._ending()
                if ending is not None:
                    return ending
                if news or now >= self._look_at:
                    await self._tell_new(outlet)
            except AccountGone:
                return SESSION_ENDED
            except _PASSING:
                self._look_at = trio.current_time() + RETRY_S * self._rng.uniform(0.5, 1.0)

    async def _wait(self) -> object:
        """Wait until there is something to do; return the body of a message, if one came."""
        with trio.move_on_at(min(self._beat_at, self._look_at)):
            return (await self._subscription.receive()).body
        return None

    def _is_news(self, body: object) -> bool:
        """Whether there was a wake-up for more than was sent already."""
        if isinstance(body, LedgerAdvanced):
            return body.seq > (self._last or 0)
        return body is not None

    def _missed_some(self) -> bool:
        """Whether another wake-up replaced one, perhaps for a session's end, before it was seen."""
        before, self._replaced = self._replaced, self._subscription.replaced
        return before != self._replaced

    async def _ending(self) -> str | None:
        """Return why the token is no longer valid; None while it is."""
        try:
            await self._gateway.auth(Authorize(self._token))
        except InvalidToken:
            sessions = await self._gateway.auth(ListSessions(self._identity.account_id))
            lives = any(each.session_id == self._identity.session_id for each in sessions)
            return TOKEN_EXPIRED if lives else SESSION_ENDED
        return None

    async def _tell_new(self, outlet: Outlet) -> None:
        events = await self._read()
        if events:
            await outlet.tell(events)
            self._beat_at = self._next_beat()

    async def _read(self) -> list[WireEvent]:
        """Read the next page and advance to its end."""
        message = GetEvents(self._identity.account_id, self._last, self._settings.page)
        page = await self._gateway.inventory(message)
        if self._last is None or self._last > page.seq:
            # An id from a ledger that this one does not continue: start over.
            self._last = page.seq
            events = [snapshot_of(page)]
        else:
            events = list(events_of(page))
            if page.entries:
                self._last = page.entries[-1].seq
        self._look_at = self._next_look(page)
        return events

    def _next_look(self, page: EventPage) -> float:
        """Return when to read again without a wake-up: now if there is more, or at a full stock.

        While rates shift, nobody can say when that is: look every now and then.
        """
        now = trio.current_time()
        if page.entries and page.entries[-1].seq < page.seq:
            return now
        latest_s = self._settings.heartbeat_seconds if page.shifting else float("inf")
        full_s = [
            (stock.full_at_ms - page.now.at_ms) / 1000
            for stock in page.now.resources.values()
            if stock.full_at_ms is not None
        ]
        return now + max(_LOOK_S_MIN, min([latest_s, *full_s]))

    def _next_beat(self) -> float:
        # With jitter, so that streams that began together do not all beat at once.
        return trio.current_time() + self._settings.heartbeat_seconds * self._rng.uniform(0.8, 1.0)
