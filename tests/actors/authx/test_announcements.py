"""What Authx says on the bus when sessions may have ended."""

from __future__ import annotations

import pytest

from actors.authx.announcements import Announcer, SessionsChanged
from actors.authx.sessions import SessionCache
from bus import FAN_OUT_SLICE, Interest, Topic, open_broadcast_channel


@pytest.mark.parametrize("subject", ["session", "account"])
async def test_drop_of_a_session_or_account_is_announced(subject: str) -> None:
    """A follower of the session or the account hears of it, whether or not it is cached."""
    with open_broadcast_channel() as bus:
        cache = SessionCache(10, on_drop=Announcer(bus).changed)
        followed = bus.subscribe(
            Interest(Topic.EVENT, "session"), Interest(Topic.EVENT, "account"), buffer=1
        )
        other = bus.subscribe(Interest(Topic.EVENT, "another"), buffer=1)
        drop = cache.drop if subject == "session" else cache.drop_account
        drop(subject)
        assert followed.receive_nowait().body == SessionsChanged()
        assert other.is_empty()


async def test_announcement_never_fails_its_cause() -> None:
    """A session ends whether or not anybody can be told."""
    bus = open_broadcast_channel()
    announcer = Announcer(bus)
    announcer.changed("nobody subscribes at all")
    many = [
        bus.subscribe(Interest(Topic.EVENT, "followed"), buffer=1) for _ in range(FAN_OUT_SLICE + 1)
    ]
    announcer.changed("followed")
    assert all(each.is_empty() for each in many)
    bus.close()
    announcer.changed("closed")
