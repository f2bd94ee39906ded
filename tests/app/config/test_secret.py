"""What a secret promises: only `reveal` gives it away."""

from __future__ import annotations

from app.config import Secret


def test_secret_is_revealed_on_request_only() -> None:
    """Neither str, repr nor formatting shows the text."""
    secret = Secret("swordfish")
    assert secret.reveal() == "swordfish"
    assert "swordfish" not in f"{secret} {secret!r} {[secret]}"


def test_secret_tells_whether_there_is_one() -> None:
    """An empty secret is false and says that it is empty."""
    assert not Secret("")
    assert Secret("x")
    assert repr(Secret("")) == "Secret('')"


def test_secret_compares_by_text() -> None:
    """Equal texts make equal secrets; a secret never equals the bare text."""
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
