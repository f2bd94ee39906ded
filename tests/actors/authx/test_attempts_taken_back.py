"""Logins and registrations that were turned away for lack of time: nobody has failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.authx.messages import Login, Register
from bus import Overloaded
from tests.actors.authx.harness import PASSWORD, running_authx
from tests.actors.authx.support import CHEAP

ADDRESS = "203.0.113.7"
LATE = replace(
    CHEAP, hash_wait_ms=1, attempts_per_user=2, attempts_per_address=2, registrations_per_address=2
)


@pytest.mark.parametrize(
    "message",
    [
        Login("somebody", PASSWORD, ADDRESS),
        Login("no such name, is there", PASSWORD, ADDRESS),
        Register("somebody", PASSWORD, ADDRESS),
    ],
    ids=["login", "hopeless name", "registration"],
)
async def test_who_was_turned_away_for_want_of_time_has_not_failed(
    database_dsn: str, message: Login | Register
) -> None:
    """However often a user retries, as a 503 says, the wait does not grow."""
    async with running_authx(database_dsn, LATE) as running:
        with running.every_turn_taken():
            for _ in range(5):
                with pytest.raises(Overloaded):
                    await running.ask(message)
        assert not running.engine.operations
        logins = running.authx.logins()
        assert (logins.overloaded, logins.throttled) == (5 * isinstance(message, Login), 0)
