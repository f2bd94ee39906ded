"""Which accounts are operators', cached for when there is no time to ask the database.

Read when listening starts and after every announced change of an account, as suspensions are. The
list may be slightly outdated: it only decides who waits where.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from actors.authx import messages
from actors.authx.attempts import owner
from actors.authx.errors import InvalidUsername
from actors.authx.usernames import parse_username
from actors.database.errors import DatabaseError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from actors.authx.attempts import AttemptLimit
    from actors.authx.connections import Connections
    from actors.database.session import Script, Session

OPERATORS_MAX: Final = 1_000
"""How many are cached; any further one waits with the players."""

_OPERATORS: Final = """
select account_id, username_key from accounts
where role = 'admin' and suspended_at is null
order by account_id limit $1
"""

RETRY_S: Final = 1.0
"""How long to wait before retrying after a database error."""


class Operators:
    """The accounts of role admin that are not suspended, and whether one of them may go first.

    Keeping it from one run to the next keeps the cached list.
    """

    def __init__(self, attempts: AttemptLimit, *, log: FilteringBoundLogger) -> None:
        self._attempts = attempts
        self._log = log
        self._changed = trio.Event()
        self._account_ids: frozenset[str] = frozenset()
        self._username_keys: frozenset[str] = frozenset()

    def look_again(self) -> None:
        """Announce that an account may have become an operator's, or ceased to be one."""
        self._changed.set()

    async def run(self, connections: Connections) -> None:
        """Read the list after every change, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                found = await connections.run(_read_operators(OPERATORS_MAX))
            except DatabaseError:
                self._changed.set()
                await trio.sleep(RETRY_S)
            else:
                self._account_ids = frozenset(account_id for account_id, _ in found)
                self._username_keys = frozenset(username_key for _, username_key in found)
                self._log.debug("operators_read", operators=len(found))

    def may_go_first(self, message: messages.Login | messages.ChangePassword) -> bool:
        """Whether a password may be checked before those of players.

        It must be an operator's, not come too soon, and come from an address with few failures.
        """
        user = self._operator_in(message)
        return user is not None and self._attempts.may_go_first(
            user, message.address, trio.current_time()
        )

    def _operator_in(self, message: messages.Login | messages.ChangePassword) -> str | None:
        """Return the operator whose password is tried, as attempts name them; None if a player."""
        if isinstance(message, messages.ChangePassword):
            # A one-time password must be changed before anything else.
            known = message.account_id in self._account_ids
            return owner(message.account_id) if known else None
        try:
            key = parse_username(message.username).key
        except InvalidUsername:
            return None
        return key if key in self._username_keys else None


def _read_operators(limit: int) -> Script[list[tuple[str, str]]]:
    async def script(session: Session) -> list[tuple[str, str]]:
        rows = await session.fetch(_OPERATORS, limit)
        return [(row["account_id"], row["username_key"]) for row in rows]

    return script
