"""The bounded log of players refused an operator's endpoint: a loop cannot flood it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from app.http.buckets import Buckets

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from app.http.trail import Trail

ACCOUNT_BURST: Final = 20
"""How many refusals of one account are logged at once: enough to try every endpoint."""

ACCOUNT_PER_SECOND: Final = 1 / 60
ALL_BURST: Final = 200
ALL_PER_SECOND: Final = 1.0
_ACCOUNTS_MAX: Final = 10_000
_ALL: Final = ""


class Denials:
    """Logs who is refused an operator's endpoint; the metrics also count what is not logged.

    For one account `ACCOUNT_BURST` refusals are logged at once and then one a minute, for all
    accounts together `ALL_BURST` at once and then one a second.
    """

    __slots__ = ("_by_account", "_log", "_of_all")

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._by_account = Buckets(
            per_second=ACCOUNT_PER_SECOND, burst=ACCOUNT_BURST, keys_max=_ACCOUNTS_MAX
        )
        self._of_all = Buckets(per_second=ALL_PER_SECOND, burst=ALL_BURST, keys_max=1)

    def tell(self, trail: Trail, account_id: str) -> None:
        """Log a refusal, unless this account, or all together, have had too many."""
        now_s = trio.current_time()
        if self._by_account.take(account_id, now_s) or self._of_all.take(_ALL, now_s):
            return
        self._log.info(
            "operator_access_refused",
            method=trail.method,
            route=trail.route,
            client=trail.client,
            account_id=account_id,
        )
