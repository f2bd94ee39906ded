"""What Authx does for users who list or end the sessions of their own account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.authx import session_store
from actors.authx.errors import UnknownSession

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.authx import messages
    from actors.authx.connections import Connections
    from actors.authx.memory import Memory


class OwnSessions:
    """Lists and ends sessions; ``session_max_s`` is the longest that one lives, None for no limit.

    Every method raises `DatabaseError` if the database is away or fails, and the errors that its
    message names.
    """

    def __init__(
        self,
        connections: Connections,
        memory: Memory,
        *,
        session_max_s: int | None,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._connections = connections
        self._memory = memory
        self._session_max_s = session_max_s
        self._wall_clock = wall_clock

    async def list_sessions(
        self, request: messages.ListSessions
    ) -> tuple[messages.SessionInfo, ...]:
        """List an account's live sessions, newest first."""
        script = session_store.list_sessions(
            request.account_id, now=self._wall_clock(), session_max_s=self._session_max_s
        )
        return await self._connections.run(script)

    async def end_sessions(self, request: messages.EndSessions) -> None:
        """End one session or all; on return none of their tokens is valid any more."""
        try:
            await self._connections.run(
                session_store.end_sessions(request.account_id, request.session_id)
            )
        finally:
            self._memory.drop_account(request.account_id)

    async def end_session(self, request: messages.EndSession) -> None:
        """End a live session; on return none of its tokens is valid any more.

        Raises:
            UnknownSession: it is not one of this account's, or has ended.
        """
        script = session_store.end_session(
            request.account_id,
            request.session_id,
            now=self._wall_clock(),
            session_max_s=self._session_max_s,
        )
        # An unconfirmed ending may have taken effect; a guessed id has changed nothing.
        may_have_ended = True
        try:
            may_have_ended = await self._connections.run(script)
        finally:
            if may_have_ended:
                self._memory.drop_account(request.account_id)
        if not may_have_ended:
            raise UnknownSession
