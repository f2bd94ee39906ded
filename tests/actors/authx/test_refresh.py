"""Refresh tokens: made by this server, in one spelling, and stored only as a hash."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.authx.errors import InvalidToken
from actors.authx.keys import KeyRing
from actors.authx.refresh import (
    RefreshToken,
    issue_next,
    issue_refresh_token,
    read_refresh_token,
)

SESSION = "01890a5d-ac96-774b-bcce-b302099a8058"
RING = KeyRing.generate()
TEXT, TOKEN = issue_refresh_token(RING, SESSION)


def read(text: str, ring: KeyRing = RING) -> RefreshToken | None:
    """Read a token; return None if it is refused."""
    try:
        return read_refresh_token(ring, text)
    except InvalidToken:
        return None


def test_refresh_token_round_trips_and_is_new_each_time() -> None:
    """An issued token reads as the same session and digest; no two are alike."""
    assert read(TEXT) == TOKEN
    assert TOKEN.session_id == SESSION
    again_text, again = issue_refresh_token(RING, SESSION)
    assert again_text != TEXT
    assert again.digest != TOKEN.digest


def test_refresh_token_counts_under_any_key_of_the_ring() -> None:
    """After a key rotation, tokens of the old key can still be exchanged."""
    new = KeyRing.generate()
    assert read(TEXT, KeyRing((new.first, RING.first))) == TOKEN
    assert read(TEXT, new) is None


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_refresh_token_with_one_character_changed_is_made_up(place: int, character: str) -> None:
    """No altered token passes for an older one: nobody can end a session with an invented token."""
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    assert (read(changed) is None) == (changed != TEXT)


@pytest.mark.parametrize(
    "text",
    ["", TEXT[:-1], TEXT + "A", TEXT + "=", " " + TEXT, "\ud800" * 88],
    ids=["empty", "shorter", "longer", "padded", "spaced", "surrogates"],
)
def test_refresh_token_in_another_spelling_is_refused(text: str) -> None:
    """Length and alphabet are fixed."""
    assert read(text) is None


def test_refresh_token_text_does_not_hold_its_digest() -> None:
    """The stored value cannot be turned back into a token."""
    assert TOKEN.digest.hex() not in TEXT
    assert len(TOKEN.digest) == 32


def test_next_token_follows_from_the_presented_one_and_the_key() -> None:
    """The same request gets the same token; each other request, server or token another one."""
    text, following = issue_next(RING, TOKEN, "a key")
    assert read(text) == following
    assert (following.session_id, following.digest != TOKEN.digest) == (SESSION, True)
    assert issue_next(RING, TOKEN, "a key") == (text, following)
    stranger = KeyRing.generate()
    others = (
        issue_next(RING, TOKEN, "another"),
        issue_next(RING, following, "a key"),
        issue_next(RING, RefreshToken(SESSION, TOKEN.digest, stranger.first), "a key"),
    )
    assert len({each.digest for _, each in others} | {following.digest}) == 4


def test_next_token_is_the_same_after_a_key_rotation() -> None:
    """It is tagged with the new key, but what the database knows of it does not change."""
    rotated = KeyRing((KeyRing.generate().first, RING.first))
    presented = read(TEXT, rotated)
    assert presented is not None
    text, following = issue_next(rotated, presented, "a key")
    assert following == issue_next(RING, TOKEN, "a key")[1]
    assert read(text, rotated) == following
    assert read(text) is None
