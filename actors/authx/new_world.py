"""The end of a world: all that belongs to it is removed at once, and its accounts stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from actors.authx.audit_store import record
from actors.storage.mark import unset_mark
from actors.storage.schema import AUDIT, declared_tables

if TYPE_CHECKING:
    from actors.authx.audit_store import AuditEntry
    from actors.database.session import Script, Session

WORLD_RESET: Final = "world-reset"
"""The action of an operator who ended a world."""

_WORLD: Final = """
select world_id, name, tick, (select count(*) from accounts) as accounts
from world order by now_ms desc limit 1
"""

# Neither the accounts nor what operators have done. In one statement, as some refer to others.
_OF_THE_WORLD: Final = sorted({*declared_tables(), "sessions"} - {AUDIT.name})
_EMPTY: Final = f"truncate {', '.join(_OF_THE_WORLD)}"
# Others may be reading a table: rather give up with nothing done than be cut off in doubt.
_LOCK_WAIT: Final = "30s"


@dataclass(frozen=True, slots=True)
class EndedWorld:
    """What a world was, and how many accounts it had."""

    world_id: str
    name: str
    tick: int
    accounts: int


async def find_world(session: Session) -> EndedWorld | None:
    """Read which world there is; None if none has begun."""
    row = await session.fetchrow(_WORLD)
    if row is None:
        return None
    return EndedWorld(row["world_id"], row["name"], row["tick"], row["accounts"])


def end_world(audit: AuditEntry) -> Script[EndedWorld | None]:
    """End a world: remove what belongs to it and every session; return what it was.

    Accounts, with their passwords, roles and suspensions, and the audit log stay. A server that
    starts then begins a world, under any rules; one that had only lost the database writes no more.
    None, and no change, if no world has begun.
    """

    async def script(session: Session) -> EndedWorld | None:
        async with session.transaction():
            world = await find_world(session)
            if world is not None:
                await session.execute("select set_config('lock_timeout', $1, true)", _LOCK_WAIT)
                await session.execute(_EMPTY)
                await unset_mark(session)
                await record(session, _about(world, audit), world.world_id)
        return world

    return script


def _about(world: EndedWorld, audit: AuditEntry) -> AuditEntry:
    detail = {"world": world.name, "tick": world.tick, "accounts": world.accounts}
    return replace(audit, detail=msgspec.json.encode(detail).decode())
