"""Entity tags: what they identify, and when a client holds it."""

from __future__ import annotations

import pytest

from app.etags import etag_of, is_held

ETAG = b'"c0ffee"'


@pytest.mark.parametrize(
    ("sent", "held"),
    [
        ([], False),
        ([b'"other"'], False),
        ([b"*"], True),
        ([b"%s"], True),
        ([b'"other", W/%s'], True),
        ([b'"other"', b"%s"], True),
        ([b" * "], True),
        ([b'"one,*,other"'], False),
        ([b'"one, *'], False),
        ([b'"one,%s'], False),
        ([b'"one,two" ,, %s'], True),
    ],
)
def test_etag_is_known_again(sent: list[bytes], held: bool) -> None:
    """A client that sends a tag, weak or among others, holds what it identifies."""
    assert is_held(ETAG, [value.replace(b"%s", ETAG) for value in sent]) is held


def test_etag_is_of_the_bytes_alone() -> None:
    """The same bytes have the same tag, others another, and it is quoted as required."""
    assert etag_of(b"a") == etag_of(b"a") != etag_of(b"b")
    assert etag_of(b"a").startswith(b'"') and etag_of(b"a").endswith(b'"')  # noqa: PT018 - one quoting
