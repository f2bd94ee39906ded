"""Usernames: what is accepted, and that spellings of one name share one key."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.authx.errors import InvalidUsername
from actors.authx.usernames import (
    LENGTH_MAX,
    LENGTH_MIN,
    Username,
    fold_username,
    parse_new_username,
    parse_username,
)


def parsed(text: str) -> Username | None:
    """Parse, or return None if the name is refused."""
    try:
        return parse_username(text)
    except InvalidUsername:
        return None


@pytest.mark.parametrize(
    ("text", "shown", "key"),
    [
        ("ada", "ada", "ada"),
        ("Ada.Love-Lace_1", "Ada.Love-Lace_1", "ada.love-lace_1"),
        ("ＡＤＡ", "ADA", "ada"),  # noqa: RUF001 - full width is the point
        ("Straße", "Straße", "strasse"),
        ("ＺＯＥ\u0308", "ZOË", "zoë"),  # noqa: RUF001 - full width is the point
        ("ﬁx", "fix", "fix"),
        ("Ωmega", "Ωmega", "ωmega"),
        ("İSTANBUL", "İSTANBUL", "istanbul"),  # a dotted capital I
        ("I\u0307stanbul", "İstanbul", "istanbul"),
        ("i\u0307stanbul", "istanbul", "istanbul"),  # draws like one without the mark
        ("Iğdır", "Iğdır", "iğdır"),  # noqa: RUF001 - the dotless one is another letter
        ("١٢٣", "١٢٣", "١٢٣"),
        ("名前さん", "名前さん", "名前さん"),
    ],
)
def test_username_is_keyed_by_nfkc_and_casefold(text: str, shown: str, key: str) -> None:
    """A name keeps its capitals for show and is unique without them."""
    assert parse_username(text) == Username(shown, key)


def test_username_spellings_share_one_key() -> None:
    """Composed, decomposed, wide, and capital spellings are one and the same name."""
    spellings = ["zoë", "zoe\u0308", "ZOË", "ＺＯË"]
    assert {parse_username(text).key for text in spellings} == {"zoë"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least"),
        ("ab", "at least"),
        ("a" * 33, "at most"),
        ("ﬀ" * 17, "at most"),  # becomes 34 letters
        ("a" * 100_000, "at most"),
        ("a b c", "only letters"),
        ("a\u00a0bc", "only letters"),  # a no-break space becomes a space
        ("abc\n", "only letters"),
        ("ab\0c", "only letters"),
        ("abc@d", "only letters"),
        ("ab\u200dc", "only letters"),  # a zero-width joiner
        ("ab\u202ec", "only letters"),  # a direction override
        ("ab\ud800c", "only letters"),  # a lone surrogate
        ("½½½", "only letters"),  # become fractions with a slash
        ("abc💥", "only letters"),
        ("Ⅷb²", None),  # becomes viiib2
    ],
)
def test_username_outside_the_rules_is_refused_with_the_reason(text: str, says: str | None) -> None:
    """Each refusal says which rule was broken; compatibility characters count as what they are."""
    if says is None:
        assert parse_username(text).key == "viiib2"
        return
    with pytest.raises(InvalidUsername, match=says):
        parse_username(text)


def test_username_with_a_dotted_capital_is_searched_for_as_it_is_kept() -> None:
    """A search by prefix folds the name as the key was folded."""
    key = parse_username("İzmir.İli").key
    assert all(key.startswith(fold_username("İzmir.İli"[:length])) for length in range(1, 9))


def test_username_length_is_counted_after_normalization() -> None:
    """Thirty-two decomposed letters are as good as thirty-two composed ones."""
    assert len(parse_username("e\u0308" * 32).key) == 32
    assert parse_username("ﬃ").key == "ffi"
    assert len(parse_username("ß" * 16).key) == 32
    with pytest.raises(InvalidUsername, match="counted as names are compared"):
        parse_username("ß" * 17)


def test_username_key_without_a_mark_is_shown_where_only_folding_allows_it() -> None:
    """A combining iota is no letter until it is folded, so the folded name is what is shown."""
    assert parse_username("ab\u0345") == Username("ab\u03b9", "ab\u03b9")


@pytest.mark.parametrize(
    "text",
    [
        "\u1160\u1160\u1160",
        "admin\u115f",
        "admin\u3164",  # becomes U+1160
        "\uffa0admin",  # becomes U+1160
    ],
)
def test_username_that_draws_like_another_is_not_to_be_had(text: str) -> None:
    """Letters that draw nothing are refused in new names; owners of old ones can be found."""
    with pytest.raises(InvalidUsername, match="invisible letters"):
        parse_new_username(text)
    assert parse_username(text).key == unicodedata.normalize("NFKC", text)


def test_username_that_is_new_is_parsed_as_any_other() -> None:
    """The rules for the characters of a name hold for new ones too."""
    assert parse_new_username("Ada") == parse_username("Ada")
    with pytest.raises(InvalidUsername, match="only letters"):
        parse_new_username("ab\u2800c")  # an empty Braille pattern is no letter


def test_username_refuses_every_letter_that_unicode_calls_empty() -> None:
    """Characters that this Python's Unicode allows by category but calls blank are refused."""
    blank = re.compile(r"\b(BLANK|EMPTY|FILLER|INVISIBLE|JOINER|NULL|SELECTOR|SPACE)\b")
    for character in map(chr, range(sys.maxunicode + 1)):
        if blank.search(unicodedata.name(character, "")):
            with pytest.raises(InvalidUsername):
                parse_new_username(f"abc{character}")


@settings(deadline=None)
@given(st.text(max_size=40))
def test_username_key_is_stable_and_within_the_rules(text: str) -> None:
    """Any accepted name parses to itself again, from its key and from its shown form."""
    username = parsed(text)
    if username is None:
        return
    assert parse_username(username.key) == Username(username.key, username.key)
    assert parse_username(username.shown) == username
    assert LENGTH_MIN <= len(username.key) <= LENGTH_MAX
    for character in username.key + username.shown:
        assert character in "_-." or unicodedata.category(character)[0] in "LN"


@settings(deadline=None)
@given(st.text(alphabet=st.characters(categories=["L", "Nd"]), min_size=3, max_size=10))
def test_username_key_does_not_depend_on_the_spelling(text: str) -> None:
    """Every canonical decomposition or change of case that folds alike has the same key."""
    username = parsed(text)
    if username is None:
        return
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert parse_username(unicodedata.normalize(form, text)).key == username.key
    assert parse_username(text.casefold()).key == username.key
