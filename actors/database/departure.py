"""That the server notices when one of our connections is gone, and ends what it does for it.

By default it notices at the next answer. A statement that was given up would go on until then, with
the locks that it holds or waits for.
"""

from __future__ import annotations

from typing import Any, Final

# Not a parameter of the start, which poolers refuse.
_NOTICE_DEPARTURE: Final = """
do $$ begin
    if current_setting('client_connection_check_interval') = '0' then
        set client_connection_check_interval = '1s';
    end if;
exception when invalid_parameter_value then
    null;  -- a system that does not tell
end $$
"""


async def notice_departure(raw: Any) -> None:
    """Have the server look every second, for a connection of asyncpg's, unless it does anyway."""
    await raw.execute(_NOTICE_DEPARTURE)
