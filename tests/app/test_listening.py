"""The URL at which a server says it can be reached."""

from __future__ import annotations

import pytest

from app.listening import Listening


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8470"),
        ("::1", "http://[::1]:8470"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:8470"),
        ("game.example.org", "http://game.example.org:8470"),
        ("*", "http://localhost:8470"),
    ],
)
def test_url_is_one_that_a_client_can_use(host: str, url: str) -> None:
    """An IPv6 address is in brackets, and "*", which is no address, is not shown."""
    assert Listening(host, 8470).url == url
