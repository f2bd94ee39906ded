"""Authx's handling of each message that takes more than a cache lookup."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import trio
from uuid_utils import uuid7

from actors.authx import account_store, erasure, session_store
from actors.authx.attempts import owner
from actors.authx.audit_store import ACCOUNT_ERASED, AuditEntry
from actors.authx.errors import (
    InvalidCredentials,
    InvalidPassword,
    InvalidToken,
    InvalidUsername,
    RegistrationClosed,
    UsernameTaken,
)
from actors.authx.handover import NextToken
from actors.authx.lifetimes import Lifetimes
from actors.authx.messages import Tokens
from actors.authx.refresh import RefreshToken, issue_next, issue_refresh_token, read_refresh_token
from actors.authx.usernames import parse_new_username, parse_username
from bus import Overloaded

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from structlog.typing import FilteringBoundLogger

    from actors.authx import messages
    from actors.authx.attempts import AttemptLimit
    from actors.authx.connections import Connections
    from actors.authx.handover import Handovers
    from actors.authx.keys import KeyRing
    from actors.authx.memory import Memory
    from actors.authx.passwords import HashSlot, Passwords
    from actors.authx.settings import AuthxSettings
    from actors.authx.tokens import AccessTokens
    from actors.authx.usernames import Username
    from actors.database.session import Script

    _Find: TypeAlias = Script[account_store.Credentials | None]
    _Act: TypeAlias = Callable[[account_store.Credentials], Awaitable[T]]

PLAYER = "player"
OPERATOR = "admin"
_NOBODY = ""
_NOBODY_WAITS = "nobody waits for this refresh any more"


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A password tried for a user from an address; see `AttemptLimit`."""

    user: str
    address: str
    password: str


class AccountService:
    """Registration, logins, refreshes and passwords of one Authx.

    Every method raises `DatabaseError` if the database is away or fails, and the errors that its
    message names. A method that takes a `HashSlot` hashes in it; if its turn does not come in
    time the method raises `Overloaded`, and nothing was counted or done.
    """

    def __init__(
        self,
        connections: Connections,
        memory: Memory,
        *,
        keyring: KeyRing,
        passwords: Passwords,
        tokens: AccessTokens,
        attempts: AttemptLimit,
        handovers: Handovers,
        settings: AuthxSettings,
        wall_clock: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        self._connections = connections
        self._memory = memory
        self._keyring = keyring
        self._passwords = passwords
        self._tokens = tokens
        self._settings = settings
        self._lifetimes = Lifetimes(settings)
        self._wall_clock = wall_clock
        self._log = log
        self._attempts = attempts
        self._handovers = handovers

    def check_open(self) -> None:
        """Refuse a registration if nobody may register; raises `RegistrationClosed`."""
        if not self._settings.registration_open:
            raise RegistrationClosed

    async def register(self, request: messages.Register, slot: HashSlot) -> messages.Account:
        """Create a player's account; a refusal costs no hash, except for a lost race."""
        username = parse_new_username(request.username)
        self._passwords.check(request.password)
        with self._attempts.registration(request.address, trio.current_time()):
            account = await self._make_player(username, request.password, slot)
        self._log.info("account_created", account_id=account.account_id)
        return account

    async def _make_player(
        self, username: Username, password: str, slot: HashSlot
    ) -> messages.Account:
        if await self._connections.run(account_store.find_credentials(username.key)) is not None:
            raise UsernameTaken
        # Until the account is stored another may still take the name: then the write fails.
        new = account_store.NewAccount(
            account_id=str(uuid7()),
            username=username,
            password_hash=await slot.hash(password),
            role=PLAYER,
            created_at=self._wall_clock(),
        )
        return await self._connections.run(account_store.insert_account(new))

    async def login(self, request: messages.Login, slot: HashSlot) -> Tokens:
        """Check a password and open a session.

        An unknown user, a wrong password and a suspended account take the same steps up to the
        refusal: one query, one hash operation.
        """
        try:
            username = parse_username(request.username)
        except InvalidUsername:
            # All names that nobody can have count as one user who is never let in.
            with self._attempts.attempt(_NOBODY, request.address, trio.current_time()):
                await slot.matches(None, request.password)
            raise InvalidCredentials from None
        attempt = _Attempt(username.key, request.address, request.password)

        async def open_session(credentials: account_store.Credentials) -> Tokens:
            renewed_hash = None
            if self._passwords.is_outdated(credentials.password_hash):
                # If there is no time for it now, there will be at another login.
                with suppress(Overloaded):
                    renewed_hash = await slot.hash(request.password)
            tokens, role = await self._open_session(credentials, renewed_hash)
            if role == OPERATOR:
                self._log.info(
                    "operator_logged_in",
                    account_id=tokens.account_id,
                    session_id=tokens.session_id,
                    client=request.client,
                )
            return tokens

        find = account_store.find_credentials(username.key)
        return await self._as_verified(find, attempt, slot, open_session)

    def read_refresh_token(self, text: str) -> RefreshToken:
        """Take a refresh token apart without the database; raises `InvalidToken`."""
        return read_refresh_token(self._keyring, text)

    async def refresh(
        self, presented: RefreshToken, is_awaited: Callable[[], bool], idempotency_key: str
    ) -> Tokens:
        """Exchange a session's last refresh token for new tokens; any older one ends it.

        The same token with the same ``idempotency_key``, if there is one, is the same request: as
        long as the next token has not been used, it is given again.

        Without a key: if the exchange may have taken effect, or may yet, without confirmation, or
        if nobody waits for the answer any more (``is_awaited``), nobody has the next token, and the
        next request, from the same client and not a thief, is given the same one.

        For a caller that is gone, no refresh is started, no session ended and no token handed out.

        Raises:
            InvalidToken: the token is a used one, or the session has expired.
            Overloaded: too many wait for the database, or nobody waits for this refresh; the token
                is as good as before.
        """
        if not is_awaited():
            raise Overloaded(_NOBODY_WAITS)
        session_id = presented.session_id
        if idempotency_key:
            # Without this key nobody is given it, not even if nobody has received it.
            issued = issue_next(self._keyring, presented, idempotency_key)
            following = NextToken(*issued, is_awaited)
        else:
            following = self._handovers.begin(
                presented, is_awaited, lambda: issue_refresh_token(self._keyring, session_id)
            )
        now = self._wall_clock()
        rotation = session_store.Rotation(
            session_id=session_id,
            presented_digest=presented.digest,
            next_digest=following.token.digest,
            now=now,
            expires_at=self._lifetimes.expires_at(now),
            session_max_s=self._lifetimes.session_max_s,
            is_awaited=is_awaited,
        )
        try:
            # Even with no connection now: one may just have been lost with this in flight.
            outcome = await self._connections.run(
                session_store.rotate_session(rotation),
                wait_s=self._settings.refresh_wait_ms / 1000,
            )
        finally:
            # Whatever the outcome, the cached session is outdated.
            self._memory.drop_session(session_id)
        if isinstance(outcome, session_store.NotRotated):
            self._handovers.settle(presented, following)
            if outcome.was_live:
                self._log.warning("refresh_token_reused", session_id=session_id)
            raise InvalidToken
        if not is_awaited():
            # Another caller may have been promised the same token: this one must not get it.
            raise Overloaded(_NOBODY_WAITS)
        self._handovers.settle(presented, following)
        return self._tokens_of(
            outcome.account_id, session_id, outcome.begun_at, outcome.standing, following.text
        )

    async def get_account(self, request: messages.GetAccount) -> messages.Account:
        """Read an account."""
        return await self._connections.run(account_store.get_account(request.account_id))

    async def change_password(self, request: messages.ChangePassword, slot: HashSlot) -> None:
        """Replace a password; on return only the requesting session is left."""
        self._passwords.check(request.new_password)
        account_id, password = request.account_id, request.current_password

        async def replace(credentials: account_store.Credentials) -> None:
            if credentials.must_change_password and request.new_password == password:
                raise InvalidPassword("must differ from the one-time password")
            new_hash = await slot.hash(request.new_password)
            script = account_store.replace_password(
                account_id,
                session_id=request.session_id,
                verified_hash=credentials.password_hash,
                new_hash=new_hash,
            )
            await self._connections.run(script)

        try:
            await self._as_owner(account_id, password, request.address, slot, replace)
        finally:
            self._memory.drop_account(account_id)
        self._log.info("password_changed", account_id=account_id)

    async def erase_account(self, request: messages.EraseAccount, slot: HashSlot) -> None:
        """Remove an account and everything of it; on return none of its tokens is valid.

        Raises `Overloaded` while another account is being erased.
        """
        account_id = request.account_id

        async def erase(credentials: account_store.Credentials) -> None:
            verified = credentials.password_hash
            audit = AuditEntry(str(uuid7()), self._wall_clock(), "", ACCOUNT_ERASED, "", "{}")
            script = erasure.erase_account(account_id, verified_hash=verified, audit=audit)
            await self._connections.run(script, may_be_long=True)

        try:
            await self._as_owner(account_id, request.password, request.address, slot, erase)
        finally:
            self._memory.drop_account(account_id)
        self._log.info("account_erased", account_id=account_id)

    async def delete_expired_sessions(self) -> int:
        """Delete a batch of expired sessions; returns how many."""
        return await self._connections.run(
            session_store.delete_expired_sessions(
                now=self._wall_clock(), batch=self._settings.housekeeping_batch
            )
        )

    async def _as_owner(
        self, account_id: str, password: str, address: str, slot: HashSlot, act: _Act[None]
    ) -> None:
        """Act for somebody who is logged in: a stolen token must not help guess the password."""
        attempt = _Attempt(owner(account_id), address, password)
        find = account_store.get_credentials(account_id)
        await self._as_verified(find, attempt, slot, act)

    async def _as_verified(self, find: _Find, attempt: _Attempt, slot: HashSlot, act: _Act[T]) -> T:
        """Verify a password, and act with the credentials it was verified against.

        If those were replaced meanwhile it is verified once more: another login with the same
        password may only have rehashed it.

        Raises:
            InvalidCredentials: as `_verified`, or the password has been changed.
        """
        credentials = await self._verified(find, attempt, slot)
        try:
            return await act(credentials)
        except InvalidCredentials:
            now = await self._connections.run(find)
            if now is None or now.suspended or now.password_hash == credentials.password_hash:
                raise
            if not await slot.matches(now.password_hash, attempt.password):
                raise
        return await act(now)

    async def _verified(
        self, find: _Find, attempt: _Attempt, slot: HashSlot
    ) -> account_store.Credentials:
        """Count an attempt, find what to check against, and verify the password.

        Raises:
            TooManyAttempts: it is too soon after others; nothing was looked up or hashed.
            InvalidCredentials: unknown, wrong or suspended.
        """
        user, address = attempt.user, attempt.address
        with self._attempts.attempt(user, address, trio.current_time()):
            credentials = await self._connections.run(find)
            matches = await slot.matches(
                None if credentials is None else credentials.password_hash, attempt.password
            )
        if credentials is None:
            raise InvalidCredentials
        if not matches or credentials.suspended:
            raise InvalidCredentials(account_id=credentials.account_id)
        self._attempts.succeeded(user, address)
        return credentials

    async def _open_session(
        self, credentials: account_store.Credentials, renewed_hash: str | None
    ) -> tuple[Tokens, str]:
        """Open a session; return its tokens, and the role that the account has now."""
        session_id = str(uuid7())
        text, first = issue_refresh_token(self._keyring, session_id)
        now = self._wall_clock()
        opened = await self._connections.run(
            session_store.open_session(
                session_store.NewSession(
                    session_id=session_id,
                    account_id=credentials.account_id,
                    verified_hash=credentials.password_hash,
                    renewed_hash=renewed_hash,
                    refresh_digest=first.digest,
                    now=now,
                    expires_at=self._lifetimes.expires_at(now),
                    sessions_max=self._settings.sessions_per_account_max,
                )
            )
        )
        for ended in opened.ended:
            self._memory.drop_session(ended)
        tokens = self._tokens_of(credentials.account_id, session_id, now, opened.standing, text)
        return tokens, opened.standing.role

    def _tokens_of(
        self,
        account_id: str,
        session_id: str,
        begun_at: datetime,
        standing: session_store.Standing,
        refresh_token: str,
    ) -> Tokens:
        lives = self._lifetimes.of_tokens(begun_at=begun_at, now=self._wall_clock())
        return Tokens(
            account_id=account_id,
            session_id=session_id,
            access_token=self._tokens.issue(
                account_id=account_id,
                session_id=session_id,
                role=standing.role,
                ends_at=lives.ends_at,
            ),
            expires_in=lives.access_s,
            refresh_token=refresh_token,
            refresh_expires_in=lives.refresh_s,
            must_change_password=standing.must_change_password,
        )
