"""Base64url: one spelling for each value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.authx import base64url


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_base64url_round_trips(data: bytes) -> None:
    """Encoded values decode to themselves."""
    assert base64url.decode(base64url.encode(data)) == data


@settings(deadline=None)
@given(st.text(max_size=12))
def test_base64url_reads_nothing_but_the_canonical_spelling(text: str) -> None:
    """Any text is either refused or the one spelling of its value."""
    data = base64url.decode(text)
    assert data is None or base64url.encode(data) == text


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "AAA=", "AA\n", " AA", "A+/A", "ÄA", "\ud800"])
def test_base64url_refuses_other_spellings(text: str) -> None:
    """Padding, set trailing bits, white space and the other alphabet are all refused."""
    assert base64url.decode(text) is None
