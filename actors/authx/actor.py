"""The Authx actor: takes messages of topic ``auth`` and answers each exactly once.

Cache hits are answered on the spot. Everything else runs as its own task, a bounded number at a
time; hashing has a separate bound, so that a flood of logins takes no place from users who are
logged in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import trio

from actors.authx import account_store, session_store
from actors.authx.announcements import Announcer
from actors.authx.attempts import AttemptLimit
from actors.authx.connections import Connections
from actors.authx.directory import AccountCache
from actors.authx.dispatch import Dispatcher
from actors.authx.handover import Handovers
from actors.authx.listener import AccountListener
from actors.authx.memory import Memory
from actors.authx.operators import Operators
from actors.authx.oversight import Oversight
from actors.authx.own_sessions import OwnSessions
from actors.authx.passwords import Passwords
from actors.authx.reads import BatchedReads
from actors.authx.service import AccountService
from actors.authx.sessions import SessionCache
from actors.authx.statistics import LoginCounters
from actors.authx.suspension import Suspensions
from actors.authx.tokens import AccessTokens
from actors.database.errors import DatabaseError
from actors.shutdown import Phase, Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from actors.authx.directory import NamedAccount
    from actors.authx.keys import KeyRing
    from actors.authx.messages import AuthMessage, Identity
    from actors.authx.sessions import SessionState
    from actors.authx.settings import AuthxSettings
    from actors.authx.statistics import LoginStatistics
    from actors.database.driver import Database
    from bus import Bus, Message, Subscription


_NEXT_BATCH_S: Final = 1.0  # players log in meanwhile
_AT_ONCE_MAX: Final = 64
"""How many messages are dispatched before other tasks have their turn."""


class Authx:
    """Authentication and authorization, with direct access to the database.

    The subscription is to the topics ``auth`` and ``shutdown``; over ``bus`` it tells the
    inventories of suspended accounts to freeze. ``wall_clock`` returns aware UTC times.
    ``passwords`` is for tests that count hash operations; by default it follows from the
    settings. Counted attempts, next tokens not yet handed out and the list of operators survive a
    restart of the actor; cached sessions do not.
    """

    def __init__(
        self,
        subscription: Subscription,
        bus: Bus,
        database: Database,
        keyring: KeyRing,
        settings: AuthxSettings,
        *,
        wall_clock: Callable[[], datetime],
        log: FilteringBoundLogger,
        passwords: Passwords | None = None,
    ) -> None:
        self._subscription = subscription
        self._bus = bus
        self._database = database
        self._keyring = keyring
        self._settings = settings
        self._wall_clock = wall_clock
        self._log = log
        self._passwords = passwords or Passwords(settings, log=log)
        self._tokens = AccessTokens(keyring, settings, wall_clock=wall_clock)
        self._attempts = AttemptLimit(settings)
        self._operators = Operators(self._attempts, log=log)
        self._handovers = Handovers()
        self._logins = LoginCounters()
        self._dispatcher_now: Dispatcher | None = None
        self._unsure: set[str] = set()

    def peek(self, token: str) -> Identity | None:
        """Return at once whose access token this is, if cached; None: ask over the bus.

        It reads what `Authorize` would be answered from, and changes nothing: it refuses the token
        of an ended session from the same moment on. While the actor is not running, nothing is
        cached. Never waits.

        Raises:
            InvalidToken: the token is not accepted now.
        """
        dispatcher = self._dispatcher_now
        return None if dispatcher is None else dispatcher.peek(token)

    def logins(self) -> LoginStatistics:
        """Count the logins by outcome."""
        return self._logins.statistics()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Answer messages until `Phase.STORAGE`, then finish what is in progress and return.

        Ready at once: while the database is away, requests that need it are answered with a
        `DatabaseError`. Finishing takes at most ``shutdown_ms`` plus the driver's own deadlines.
        On cancellation, or when something unforeseen is raised, waiting callers get
        `ActorStopped`.
        """
        announcer = Announcer(self._bus)
        memory = Memory(
            SessionCache(self._settings.session_cache_max, on_drop=announcer.changed),
            AccountCache(self._settings.account_cache_max),
        )
        with self._subscription.answering():
            async with Connections(self._database, self._settings) as connections:
                suspensions = Suspensions(
                    connections, self._bus, unsure=self._unsure, log=self._log
                )

                def on_change() -> None:
                    suspensions.look_again()
                    self._operators.look_again()

                listener = AccountListener(
                    self._database, memory, self._settings, on_change=on_change, log=self._log
                )
                service = self._service(connections, memory)
                async with trio.open_nursery() as background:
                    background.start_soon(listener.run)
                    background.start_soon(suspensions.run)
                    background.start_soon(self._operators.run, connections)
                    background.start_soon(self._keep_house, service)
                    async with trio.open_nursery() as requests:
                        dispatcher = self._dispatcher(
                            requests, service, connections, memory, listener
                        )
                        self._dispatcher_now = dispatcher
                        task_status.started()
                        try:
                            await self._receive(dispatcher)
                        finally:
                            self._dispatcher_now = None
                        requests.cancel_scope.deadline = (
                            trio.current_time() + self._settings.shutdown_ms / 1000
                        )
                    background.cancel_scope.cancel()

    def _service(self, connections: Connections, memory: Memory) -> AccountService:
        return AccountService(
            connections,
            memory,
            keyring=self._keyring,
            passwords=self._passwords,
            tokens=self._tokens,
            attempts=self._attempts,
            handovers=self._handovers,
            settings=self._settings,
            wall_clock=self._wall_clock,
            log=self._log,
        )

    def _dispatcher(
        self,
        nursery: trio.Nursery,
        service: AccountService,
        connections: Connections,
        memory: Memory,
        listener: AccountListener,
    ) -> Dispatcher:
        session_max_s = self._settings.session_seconds_max

        async def read_sessions(session_ids: Sequence[str]) -> Sequence[SessionState]:
            script = session_store.read_sessions(
                session_ids, now=self._wall_clock(), session_max_s=session_max_s
            )
            return await connections.run(script)

        async def read_accounts(username_keys: Sequence[str]) -> Sequence[NamedAccount]:
            return await connections.run(account_store.find_accounts(username_keys))

        sessions = BatchedReads(
            memory.sessions,
            read_sessions,
            nursery,
            waiting_max=self._settings.session_reads_waiting_max,
        )
        accounts = BatchedReads(
            memory.accounts,
            read_accounts,
            nursery,
            waiting_max=self._settings.account_reads_waiting_max,
        )
        own_sessions = OwnSessions(
            connections, memory, session_max_s=session_max_s, wall_clock=self._wall_clock
        )
        oversight = Oversight(
            connections,
            memory,
            session_max_s=session_max_s,
            wall_clock=self._wall_clock,
            log=self._log,
        )
        return Dispatcher(
            nursery,
            service,
            own_sessions,
            oversight,
            self._operators,
            tokens=self._tokens,
            passwords=self._passwords,
            memory=memory,
            listener=listener,
            sessions=sessions,
            accounts=accounts,
            logins=self._logins,
            in_flight_max=self._settings.requests_in_flight_max,
            wall_clock=self._wall_clock,
        )

    async def _receive(self, dispatcher: Dispatcher) -> None:
        """Dispatch messages until the shutdown, and then those that were already waiting."""
        ends = False
        async for first in self._subscription:
            # Not one message per turn of Trio's loop: under load there are few turns.
            for message in (first, *self._subscription.receive_some_nowait(_AT_ONCE_MAX - 1)):
                if isinstance(message.body, Shutdown):
                    ends |= message.body.phase >= Phase.STORAGE
                else:
                    _hand_on(message, dispatcher)
            if ends:
                break
        while not self._subscription.is_empty():
            _hand_on(self._subscription.receive_nowait(), dispatcher)
        # From now on callers learn at once that nobody is here.
        self._subscription.close()

    async def _keep_house(self, service: AccountService) -> None:
        """Delete expired sessions periodically, a bounded batch at a time until none is left."""
        left = False
        while True:
            await trio.sleep(_NEXT_BATCH_S if left else self._settings.housekeeping_seconds)
            left = False
            try:
                deleted = await service.delete_expired_sessions()
            except DatabaseError as error:
                self._log.warning("authx_housekeeping_failed", error=str(error))
            else:
                left = deleted == self._settings.housekeeping_batch
                self._log.debug("expired_sessions_deleted", sessions=deleted)


def _hand_on(message: Message, dispatcher: Dispatcher) -> None:
    # A body of any other type fails loudly in the dispatcher.
    dispatcher.take(cast("AuthMessage", message.body), message.reply)
