"""Access tokens: only what this server made, exactly as it made it, while it is valid."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyseto
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.authx import base64url
from actors.authx.errors import InvalidToken
from actors.authx.keys import KeyRing
from actors.authx.tokens import AccessTokens, Claims
from tests.actors.authx.support import CHEAP, WallClock

ACCOUNT = "01890a5d-ac96-774b-bcce-b302099a8057"
SESSION = "01890a5d-ac96-774b-bcce-b302099a8058"
RING = KeyRing.generate()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def tokens_of(ring: KeyRing = RING, clock: WallClock | None = None, **changes: Any) -> AccessTokens:
    """Make the tokens of a server."""
    return AccessTokens(ring, replace(CHEAP, **changes), wall_clock=clock or WallClock())


def issued(tokens: AccessTokens, role: str = "player") -> str:
    """Issue a token for the test's account and session."""
    return tokens.issue(account_id=ACCOUNT, session_id=SESSION, role=role)


def refused(tokens: AccessTokens, text: str) -> bool:
    """Return whether a token is refused; any other error is a failure."""
    try:
        tokens.verify(text)
    except InvalidToken as refusal:
        return refusal.args == ()
    return False


def forged(claims: dict[str, Any] | bytes, *, ring: KeyRing = RING, footer: bytes = b"") -> str:
    """Encrypt any claims with a key, as only the key's owner could."""
    key = ring.first
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return pyseto.encode(key.local, payload, footer=footer or key.footer).decode()


def good_claims(**changes: Any) -> dict[str, Any]:
    """Return a valid token's claims, with some changed; None removes a claim."""
    claims: dict[str, Any] = {
        "iss": "holdfast",
        "aud": "holdfast",
        "sub": ACCOUNT,
        "sid": SESSION,
        "iat": "2030-01-02T03:04:05Z",
        "nbf": "2030-01-02T03:04:05Z",
        "exp": "2030-01-02T03:19:05Z",
        "jti": "01890a5d-ac96-774b-bcce-b302099a8059",
        "role": "player",
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def test_token_says_what_it_was_issued_for() -> None:
    """The claims come back: all nine, in whole seconds, with a lifetime as configured."""
    clock = WallClock()
    claims = tokens_of(clock=clock).verify(issued(tokens_of(clock=clock), "admin"))
    assert isinstance(claims, Claims)
    assert (claims.sub, claims.sid, claims.role) == (ACCOUNT, SESSION, "admin")
    assert claims.iat == claims.nbf == clock.now.replace(microsecond=0)
    assert claims.exp - claims.iat == timedelta(seconds=CHEAP.token_seconds)
    assert json.loads(base64url.decode(issued(tokens_of()).split(".")[3]) or b"") == {
        "kid": RING.first.key_id
    }


@pytest.mark.parametrize("character", ["x", "ы", "🏰", "\x01"])
def test_token_of_the_longest_issuer_is_accepted(character: str) -> None:
    """An issuer may have 200 characters, whatever they take up in a token."""
    issuer = character * 200
    tokens = tokens_of(issuer=issuer, audience=issuer)
    assert tokens.verify(issued(tokens)).iss == issuer


def test_token_that_another_made_with_the_right_key_is_accepted() -> None:
    """The forger of these tests works: each refusal below is due to its one change."""
    assert tokens_of().verify(forged(good_claims())).sub == ACCOUNT


def test_token_ends_at_its_expiry_and_not_before() -> None:
    """The injected wall clock decides, even for a token that was verified before."""
    clock = WallClock()
    tokens = tokens_of(clock=clock)
    text = issued(tokens)
    expiry = tokens.verify(text).exp
    clock.now = expiry - timedelta(microseconds=1)
    assert not refused(tokens, text)
    clock.now = expiry
    assert refused(tokens, text)
    assert refused(tokens_of(clock=clock), text)


def test_token_from_the_future_is_refused() -> None:
    """A token is valid from the second it was issued and not before, cached or not."""
    clock = WallClock()
    tokens = tokens_of(clock=clock)
    text = issued(tokens)
    clock.now = tokens.verify(text).iat
    assert not refused(tokens, text)
    clock.advance(-1e-6)
    assert refused(tokens, text)
    assert refused(tokens_of(clock=clock), text)


@pytest.mark.parametrize("name", list(good_claims()))
@pytest.mark.parametrize("value", [None, "", 5, True, [], {}, ["holdfast"], "other", "\ud800"])
def test_token_with_a_claim_missing_or_wrong_is_refused(name: str, value: object) -> None:
    """Every claim is demanded with its type: an authentic token is not yet a valid one."""
    assert refused(tokens_of(), forged(good_claims(**{name: value})))


@pytest.mark.parametrize(
    "changes",
    [
        {"extra": 1},
        {"iat": "2030-01-02T03:04:06Z"},
        {"nbf": "2030-01-02T03:04:06Z"},
        {"exp": "2030-01-02T03:04:05Z"},
        {"exp": "2030-01-02T03:19:05"},  # no time zone
        {"exp": "2030-01-02"},
        {"exp": 1893554345},
        {"sub": ACCOUNT.upper()},
        {"sub": ACCOUNT.replace("-", "")},
        {"sub": ACCOUNT + "\n"},
        {"role": "root"},
        {"role": "Admin"},
        {"iss": "holdfast "},
    ],
)
def test_token_with_claims_outside_their_bounds_is_refused(changes: dict[str, Any]) -> None:
    """Unknown claims, wrong times, and ids in another spelling are refused."""
    assert refused(tokens_of(), forged(good_claims(**changes)))


@pytest.mark.parametrize(
    "payload", [b"null", b"[]", b"{}", b'"text"', b"\xff", b"{", b"[" * 5000, b" "]
)
def test_token_whose_payload_is_no_object_is_refused(payload: bytes) -> None:
    """Whatever an authentic payload holds, the answer is the same refusal."""
    assert refused(tokens_of(), forged(payload))


def test_token_of_another_world_is_refused() -> None:
    """Issuer and audience must be this server's, even with the same key."""
    text = issued(tokens_of())
    assert refused(tokens_of(issuer="elsewhere"), text)
    assert refused(tokens_of(audience="elsewhere"), text)


def test_token_is_accepted_by_every_key_of_the_ring_and_by_no_other() -> None:
    """Rotation: old tokens are valid as long as their key is there; new ones use the first key."""
    old, new = KeyRing.generate(), KeyRing.generate()
    both = KeyRing((new.first, old.first))
    old_text = issued(tokens_of(old))
    assert not refused(tokens_of(both), old_text)
    assert refused(tokens_of(new), old_text)
    assert not refused(tokens_of(new), issued(tokens_of(both)))


def test_token_key_is_looked_up_by_the_footer_alone() -> None:
    """A footer that names another key, no key, or an own key in other words is refused."""
    other = KeyRing.generate()
    both = tokens_of(KeyRing((RING.first, other.first)))
    assert refused(both, forged(good_claims(), footer=other.first.footer))
    assert refused(both, forged(good_claims(), footer=b"{}"))
    assert refused(both, forged(good_claims(), footer=RING.first.footer + b" "))
    assert refused(both, forged(good_claims(), footer=b"x" * 100))
    without = pyseto.encode(RING.first.local, json.dumps(good_claims()).encode()).decode()
    assert refused(both, without)


def test_token_of_another_version_or_purpose_is_refused() -> None:
    """Only v4.local is considered: the same key bytes under another header are not valid."""
    secret = bytes(range(32))
    ring = KeyRing.parse("k4.local." + base64url.encode(secret))
    tokens = tokens_of(ring)
    footer, payload = ring.first.footer, json.dumps(good_claims()).encode()
    assert not refused(tokens, forged(payload, ring=ring))
    for version in (1, 2, 3):
        key = pyseto.Key.new(version, "local", secret)
        assert refused(tokens, pyseto.encode(key, payload, footer=footer).decode())
    text = forged(payload, ring=ring)
    assert refused(tokens, text.replace("v4.local.", "v4.public.", 1))


TEXT = issued(tokens_of())


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_token_with_one_character_changed_is_refused(place: int, character: str) -> None:
    """No single change of a valid token, at any place to any character, is accepted."""
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    assert refused(tokens_of(), changed) == (changed != TEXT)


@settings(deadline=None)
@given(st.integers(0, len(TEXT)), st.text(st.sampled_from("= \t\n\r.%+/-_A\0\u00e9"), min_size=1))
def test_token_with_something_inserted_is_refused(place: int, insert: str) -> None:
    """Padding, white space and dots, which common decoders skip, are not skipped here."""
    assert refused(tokens_of(), TEXT[:place] + insert + TEXT[place:])


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1))
def test_token_cut_short_is_refused(length: int) -> None:
    """No beginning of a valid token is accepted."""
    assert refused(tokens_of(), TEXT[:length])


def test_token_with_other_trailing_bits_is_refused() -> None:
    """Of the spellings that decode to the same bytes, only the canonical one counts."""
    tested = 0
    for padding in range(9):
        ring_footer = issued(tokens_of(issuer="x" * (padding + 1))).split(".")
        tokens = tokens_of(issuer="x" * (padding + 1))
        for part in (2, 3):
            last = ALPHABET.index(ring_footer[part][-1])
            spare = {2: 4, 3: 2}.get(len(ring_footer[part]) % 4, 0)
            for bits in range(1, 1 << spare):
                changed = list(ring_footer)
                changed[part] = changed[part][:-1] + ALPHABET[last ^ bits]
                assert refused(tokens, ".".join(changed))
                tested += 1
    assert tested > 20


@settings(deadline=None)
@given(st.text(max_size=200) | st.text(ALPHABET + ".=", max_size=300).map("v4.local.".__add__))
@example("v4.local." + "A" * 100_000)
@example("\ud800")
@example("v4.local..")
def test_token_of_any_text_is_refused_and_nothing_else_happens(text: str) -> None:
    """Any text, even if too long, unencodable or empty, gets the same refusal."""
    assert refused(tokens_of(), text)


def test_token_memory_is_bounded_and_remembers_only_what_was_deciphered() -> None:
    """As many tokens as allowed are cached; refused text leaves nothing behind."""
    tokens = tokens_of(token_cache_max=3)
    texts = [issued(tokens) for _ in range(10)]
    for text in texts:
        assert not refused(tokens, text)
        assert refused(tokens, text + "A")
    assert len(tokens._known) == 3
    for text in texts:
        assert not refused(tokens, text)
