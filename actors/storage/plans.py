"""How PostgreSQL plans the statements of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from actors.database.session import Session

_ONCE: Final = """
select set_config(name, value, false) from (values
    ('plan_cache_mode', 'force_generic_plan'),
    ('enable_seqscan', 'off'), ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off'),
    ('jit', 'off')
) as setting(name, value)
"""
_EACH_TIME: Final = "select set_config('plan_cache_mode', 'force_custom_plan', false)"


async def plan_once(session: Session) -> None:
    """Plan each of the writer's statements once, since planning takes longer than execution.

    Each finds its rows by their keys, however many there are: the plan does so even if it was made
    while its tables were empty. None of it is worth compiling.
    """
    await session.execute(_ONCE)


async def plan_each_time(session: Session) -> None:
    """Plan each of a reader's queries for the values it asks for.

    A plan for any values cannot use an index of some states alone, such as that of the pending
    orders: it would read all that its accounts have ever ordered. Planning takes less than a
    tenth of a millisecond.
    """
    await session.execute(_EACH_TIME)
