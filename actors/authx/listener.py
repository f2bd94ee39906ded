"""Learns from the database that an account was changed: by another process, or by this one, late.

Cached data is valid only while this listens: see `AccountListener.listening`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from actors.authx.backoff import Backoff
from actors.database.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from actors.authx.memory import Memory
    from actors.authx.settings import AuthxSettings
    from actors.database.driver import Connection, Database
    from actors.database.session import Session

ACCOUNTS_CHANNEL = "holdfast_accounts"
"""Anything outside the server that changes an account, or its password, notifies this channel."""

SESSIONS_CHANNEL = "holdfast_sessions"
"""Anything that ends an account's sessions, and changes nothing else, notifies this with its id."""


class AccountListener:
    """Drops what is cached of every account announced on `ACCOUNTS_CHANNEL`.

    ``on_change`` is called after each of these announcements, and when listening starts, as some
    may have been missed. For an account on `SESSIONS_CHANNEL` only the sessions are dropped: that
    happens with every logout, and is no reason to examine all accounts.
    """

    def __init__(
        self,
        database: Database,
        memory: Memory,
        settings: AuthxSettings,
        *,
        on_change: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._database = database
        self._memory = memory
        self._settings = settings
        self._on_change = on_change
        self._log = log
        self._connection: Connection | None = None

    @property
    def listening(self) -> bool:
        """Whether announcements arrive now.

        A broken connection is noticed at once, a silent one at the next probe.
        """
        return self._connection is not None and not self._connection.closed

    async def run(self) -> None:
        """Listen until cancelled, reconnecting after a pause whenever the database is away."""
        backoff = Backoff(self._settings)
        while True:
            try:
                await self._listen(backoff)
            except DatabaseError as error:
                # One line for each time the database goes away, not for each attempt.
                log = self._log.warning if backoff.failures == 0 else self._log.debug
                log("authx_listener_lost", error=str(error))
            backoff.failed()
            await trio.sleep(backoff.remaining_s)

    async def _listen(self, backoff: Backoff) -> None:
        connection = await self._database.connect(name="authx-listener")
        try:
            await connection.listen(ACCOUNTS_CHANNEL, self._forget)
            await connection.listen(SESSIONS_CHANNEL, self._memory.sessions.drop_account)
            # Announcements made while nobody listened are lost: forget everything from then.
            self._memory.clear()
            self._on_change()
            self._connection = connection
            backoff.succeeded()
            self._log.info("authx_listening")
            while True:
                with trio.move_on_after(self._settings.listen_probe_ms / 1000):
                    await connection.wait_closed()
                await connection.run(_probe, timeout_s=self._settings.query_timeout_ms / 1000)
        finally:
            self._connection = None
            connection.terminate()

    def _forget(self, account_id: str) -> None:
        self._memory.drop_account(account_id)
        self._on_change()


async def _probe(session: Session) -> None:
    await session.execute("select 1")
