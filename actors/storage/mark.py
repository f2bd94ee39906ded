"""The mark that each commit leaves in the one row of ``last_commit``, and how to find that row."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from actors.database.session import Session
    from actors.storage.errors import StorageError

_SET: Final = "update last_commit set mark = $1 where singleton returning ctid"
_GET: Final = "select mark, ctid from last_commit where singleton"
_BITS: Final = 63

BEFORE_ALL: Final = 0
"""The mark of a database that has no commit yet, or whose world has ended; no commit leaves it."""


class Mark(NamedTuple):
    """A commit's mark, and the place in the table of the row that has it, or is to take it.

    By its place the row is found at once. By its key its earlier versions are gone through as well:
    one for each commit since the oldest transaction, such as a backup, began, as none of them can
    be removed until that ends. Each commit moves the row, and next to nothing else does: if it is
    not at its place, it is found by its key.
    """

    value: int
    place: object

    def next(self) -> Mark:
        """Return the mark of the next commit, for the same row."""
        return Mark(secrets.randbits(_BITS) or 1, self.place)


class Doubt(NamedTuple):
    """A commit that was requested but not confirmed, and the outcomes if it took effect.

    ``mark`` is the mark it leaves, ``before`` the mark of the commit before it.
    """

    mark: int
    before: int | None
    outcomes: list[StorageError | None]


async def read_mark(session: Session) -> Mark:
    """Read the last commit's mark; raises as `Session`, and `LookupError` if there is none."""
    row = await session.fetchrow(_GET)
    if row is None:
        raise LookupError("last_commit is empty: its one row was removed")
    return Mark(row["mark"], row["ctid"])


async def set_mark(session: Session, mark: Mark) -> Mark:
    """Leave a mark wherever the row is, and return it with that place; raises as `Session`."""
    return Mark(mark.value, await session.fetchval(_SET, mark.value))


async def unset_mark(session: Session) -> None:
    """Leave the mark of a database without a commit: no server continues what it knows of it."""
    await session.execute(_SET, BEFORE_ALL)
