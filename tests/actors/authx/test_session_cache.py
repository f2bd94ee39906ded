"""The session cache: bounded, and never out of date."""

from __future__ import annotations

from datetime import timedelta

import pytest

from actors.authx.errors import InvalidToken
from actors.authx.messages import Identity
from actors.authx.sessions import SessionCache, SessionState
from actors.authx.tokens import Claims
from actors.database.errors import DatabaseUnavailable
from tests.actors.authx.support import WallClock

CLOCK = WallClock()


def state_of(session: str, account: str = "ada") -> SessionState:
    """Make a live session's state."""
    return SessionState(Identity(account, session, "player", "Ada"), CLOCK.now + timedelta(hours=1))


def claims_of(session: str, account: str = "ada") -> Claims:
    """Make the claims of a token of a session."""
    now = CLOCK.now
    later = now + timedelta(hours=1)
    return Claims("holdfast", "holdfast", account, session, now, now, later, "jti", "player")


def test_cache_keeps_at_most_its_bound() -> None:
    """The most recently used sessions stay, and nothing of the others is left behind."""
    cache = SessionCache(3)
    for number in range(10):
        cache.put(state_of(f"s{number}", f"a{number}"))
        cache.get("s0")
    assert len(cache) == 3
    assert cache.get("s0") is not None
    assert cache.get("s5") is None
    assert len(cache._by_account) == 3


def test_cache_drops_a_session_or_a_whole_account() -> None:
    """Dropped entries are gone, and nothing else."""
    cache = SessionCache(10)
    for session in ("s1", "s2", "s3"):
        cache.put(state_of(session))
    cache.put(state_of("other", "bob"))
    cache.drop("s1")
    cache.drop("s1")
    assert [cache.get(session) is None for session in ("s1", "s2", "other")] == [True, False, False]
    cache.drop_account("ada")
    cache.drop_account("nobody")
    assert [cache.get(session) is None for session in ("s2", "s3", "other")] == [True, True, False]
    cache.clear()
    assert (len(cache), cache._by_account) == (0, {})


def test_cache_knows_nothing_more_of_a_read_that_failed() -> None:
    """Later drops are not recorded for a read that is over."""
    cache = SessionCache(10)
    with pytest.raises(DatabaseUnavailable), cache.reading() as reading:
        raise DatabaseUnavailable("away")
    cache.drop("s1")
    cache.drop_account("ada")
    cache.clear()
    assert (reading.dropped, reading.dropped_all) == (set(), False)


@pytest.mark.parametrize("how", ["session", "account", "all"])
def test_cache_keeps_nothing_that_was_dropped_while_it_was_read(how: str) -> None:
    """The result of a read may be older than a revocation: then it is not kept."""
    cache = SessionCache(10)
    with cache.reading() as reading:
        match how:
            case "session":
                cache.drop("s1")
            case "account":
                cache.drop_account("ada")
            case _:
                cache.clear()
        reading.keep(state_of("s1"))
        reading.keep(state_of("s2", "bob"))
    assert cache.get("s1") is None
    assert (cache.get("s2") is None) == (how == "all")
    with cache.reading() as later:
        later.keep(state_of("s1"))
    assert cache.get("s1") is not None


def test_session_state_speaks_only_for_its_own_account_and_time() -> None:
    """A state identifies the tokens of its account until it expires."""
    state = state_of("s1")
    assert state.identify(claims_of("s1"), CLOCK.now) == state.identity
    with pytest.raises(InvalidToken):
        state.identify(claims_of("s1", "bob"), CLOCK.now)
    with pytest.raises(InvalidToken):
        state.identify(claims_of("s1"), state.expires_at)
