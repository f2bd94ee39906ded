"""How each message is answered, and how many at a time."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from actors.authx import messages
from actors.authx.errors import AuthxError, InvalidToken, InvalidUsername, UnknownAccount
from actors.authx.usernames import parse_username
from actors.database.errors import DatabaseError
from bus import Overloaded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    import trio

    from actors.authx.directory import NamedAccount
    from actors.authx.listener import AccountListener
    from actors.authx.memory import Memory
    from actors.authx.operators import Operators
    from actors.authx.oversight import Oversight
    from actors.authx.own_sessions import OwnSessions
    from actors.authx.passwords import HashSlot, Passwords
    from actors.authx.reads import BatchedReads
    from actors.authx.service import AccountService
    from actors.authx.sessions import SessionState
    from actors.authx.statistics import LoginCounters
    from actors.authx.tokens import AccessTokens, Claims
    from bus import Reply

    AnyReply: TypeAlias = Reply[Any] | None
    Work: TypeAlias = Callable[[], Awaitable[object]]
    HashingWork: TypeAlias = Callable[[HashSlot], Awaitable[object]]


class Dispatcher:
    """Answers what it can on the spot and starts a task of ``nursery`` for everything else.

    Nothing waits here: a message beyond the bounds is refused at once.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        service: AccountService,
        own_sessions: OwnSessions,
        oversight: Oversight,
        operators: Operators,
        *,
        tokens: AccessTokens,
        passwords: Passwords,
        memory: Memory,
        listener: AccountListener,
        sessions: BatchedReads[SessionState],
        accounts: BatchedReads[NamedAccount],
        logins: LoginCounters,
        in_flight_max: int,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._nursery = nursery
        self._service = service
        self._own_sessions = own_sessions
        self._oversight = oversight
        self._operators = operators
        self._tokens = tokens
        self._passwords = passwords
        self._memory = memory
        self._listener = listener
        self._sessions = sessions
        self._accounts = accounts
        self._logins = logins
        self._in_flight = 0
        self._in_flight_max = in_flight_max
        self._wall_clock = wall_clock

    def take(self, message: messages.AuthMessage, reply: AnyReply) -> None:
        """Answer a message, or arrange for it to be answered."""
        try:
            self._admit(message, reply)
        except (AuthxError, Overloaded) as refusal:
            if reply is not None:
                reply.fail(refusal)

    def _admit(self, message: messages.AuthMessage, reply: AnyReply) -> None:
        service = self._service
        match message:
            case messages.Authorize():
                self._authorize(message.token, reply)
            case messages.Refresh():
                # Forged tokens are refused here, before they cost a task and a query.
                presented = service.read_refresh_token(message.refresh_token)
                is_awaited = _is_awaited(reply, message.has_hung_up)
                key = message.idempotency_key
                self._start(reply, partial(service.refresh, presented, is_awaited, key))
            case messages.ListSessions():
                self._start(reply, partial(self._own_sessions.list_sessions, message))
            case messages.EndSessions():
                self._start(reply, partial(self._own_sessions.end_sessions, message))
            case messages.EndSession():
                self._start(reply, partial(self._own_sessions.end_session, message))
            case messages.GetAccount():
                self._start(reply, partial(service.get_account, message))
            case messages.FindAccount():
                self._find_account(message.username, reply)
            case (
                messages.SearchAccounts()
                | messages.SetSuspended()
                | messages.GetAccountOverview()
                | messages.RevokeSessions()
                | messages.ReadAudit()
            ):
                self._start(reply, partial(self._oversight.answer, message))
            case _:
                self._admit_hashing(message, reply)

    def _admit_hashing(
        self,
        message: messages.Login
        | messages.Register
        | messages.ChangePassword
        | messages.EraseAccount,
        reply: AnyReply,
    ) -> None:
        service = self._service
        work: HashingWork
        match message:
            case messages.Login():
                self._start_login(message, reply)
            case messages.Register():
                service.check_open()
                work = partial(service.register, message)
                self._start_hashing(reply, work, message.address, newcomer=True)
            case messages.ChangePassword():
                work = partial(service.change_password, message)
                goes_first = self._operators.may_go_first(message)
                self._start_hashing(reply, work, message.address, operator=goes_first)
            case messages.EraseAccount():
                work = partial(service.erase_account, message)
                self._start_hashing(reply, work, message.address)
            case _ as unreachable:
                assert_never(unreachable)

    def peek(self, token: str) -> messages.Identity | None:
        """Return whose token this is, if cached; None: ask.

        Raises:
            InvalidToken: the token is not accepted now.
        """
        return self._known(self._tokens.verify(token))

    def _known(self, claims: Claims) -> messages.Identity | None:
        # Changes in the database are noticed only while listening.
        state = self._memory.sessions.get(claims.sid) if self._listener.listening else None
        return None if state is None else state.identify(claims, self._wall_clock())

    def _identified(self, claims: Claims, state: SessionState | None) -> messages.Identity:
        if state is None:
            raise InvalidToken
        return state.identify(claims, self._wall_clock())

    def _authorize(self, token: str, reply: AnyReply) -> None:
        claims = self._tokens.verify(token)
        if reply is None:
            return
        identity = self._known(claims)
        if identity is None:
            self._sessions.ask(claims.sid, partial(self._identified, claims), reply)
        else:
            reply.send_nowait(identity)

    def _find_account(self, username: str, reply: AnyReply) -> None:
        try:
            key = parse_username(username).key
        except InvalidUsername:
            # A name that nobody can have is unknown as well.
            raise UnknownAccount from None
        if reply is None:
            return
        known = self._memory.accounts.get(key) if self._listener.listening else None
        if known is None:
            self._accounts.ask(key, _account_of, reply)
        else:
            reply.send_nowait(known.account)

    def _start(self, reply: AnyReply, work: Work) -> None:
        if self._in_flight >= self._in_flight_max:
            raise Overloaded("too many requests about accounts are under way")
        self._in_flight += 1
        self._nursery.start_soon(self._run, reply, work)

    def _start_hashing(
        self,
        reply: AnyReply,
        work: HashingWork,
        address: str,
        *,
        newcomer: bool = False,
        operator: bool = False,
    ) -> None:
        slot = self._passwords.reserve(address, newcomer=newcomer, operator=operator)
        self._nursery.start_soon(self._run_hashing, reply, work, slot)

    def _start_login(self, message: messages.Login, reply: AnyReply) -> None:
        try:
            goes_first = self._operators.may_go_first(message)
            work = partial(self._log_in, message)
            self._start_hashing(reply, work, message.address, operator=goes_first)
        except Overloaded:
            # Not this user's fault: every place for them among those that hash is taken.
            self._logins.overloaded()
            raise

    async def _log_in(self, message: messages.Login, slot: HashSlot) -> messages.Tokens:
        with self._logins.counted():
            return await self._service.login(message, slot)

    async def _run(self, reply: AnyReply, work: Work) -> None:
        try:
            await _answer(reply, work)
        finally:
            self._in_flight -= 1

    async def _run_hashing(self, reply: AnyReply, work: HashingWork, slot: HashSlot) -> None:
        with slot:
            await _answer(reply, partial(work, slot))


def _is_awaited(reply: AnyReply, has_hung_up: Callable[[], bool]) -> Callable[[], bool]:
    """Return a check of whether an answer sent now would reach anybody."""
    return lambda: reply is not None and reply.awaited and not has_hung_up()


async def _answer(reply: AnyReply, work: Work) -> None:
    """Do the work and answer with its result; unforeseen errors propagate."""
    try:
        value = await work()
    except (AuthxError, DatabaseError, Overloaded) as refusal:
        if reply is not None:
            reply.fail(refusal)
    else:
        if reply is not None:
            reply.send_nowait(value)


def _account_of(named: NamedAccount | None) -> messages.Account:
    if named is None:
        raise UnknownAccount
    return named.account
