"""The bounded mapping: what it keeps and what it gives up."""

from __future__ import annotations

from actors.authx.lru import Lru


def test_lru_gives_up_what_was_used_longest_ago() -> None:
    """Reading an item counts as use; the evicted one is returned."""
    lru: Lru[str, int] = Lru(2)
    assert lru.put("a", 1) is None
    assert lru.put("b", 2) is None
    assert lru.get("a") == 1
    assert lru.put("c", 3) == 2
    assert (lru.get("a"), lru.get("b"), lru.get("c")) == (1, None, 3)
    assert len(lru) == 2


def test_lru_replaces_and_forgets() -> None:
    """Putting again replaces without evicting; pop and clear forget."""
    lru: Lru[str, int] = Lru(2)
    lru.put("a", 1)
    lru.put("b", 2)
    assert lru.put("a", 3) is None
    assert lru.put("c", 4) == 2
    assert lru.pop("a") == 3
    assert lru.pop("a") is None
    lru.clear()
    assert len(lru) == 0
