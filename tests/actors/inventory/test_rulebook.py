"""What the rulebook keeps of rules that were in force earlier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from actors.inventory import Rulebook
from tests.actors.inventory.world import TOWN, ruleset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset import Ruleset
    from actors.storage import Create, Read, StorageClient


class Archive:
    """Returns one ruleset, after a while."""

    def __init__(self, rules: Ruleset) -> None:
        self._rules = rules

    async def read(self, *_reads: Read) -> list[list[Mapping[str, Any]]]:
        """Return it, whatever was requested."""
        await trio.sleep(1)
        return [[{"content": self._rules.archive}]]


async def test_rules_of_the_past_are_compiled_once_for_all_who_ask(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A page of accounts asks at once: compiling for each would stop everything for seconds."""
    old = ruleset(TOWN)
    rulebook = Rulebook(ruleset(TOWN.replace("gold", "coin")), {})
    archive = cast("StorageClient", Archive(old))
    given: list[Ruleset] = []

    async def ask() -> None:
        given.append(await rulebook.ruleset(old.version, archive))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(ask)
    assert len(given) == 10
    assert all(each is given[0] for each in given)
    assert given[0].version == old.version
    assert autojump_clock.current_time() < 2


class History:
    """Keeps which rules were in force, and lets another server's slip in between."""

    def __init__(self) -> None:
        self.eras: list[Mapping[str, Any]] = []

    async def read(self, read: Read) -> list[list[Mapping[str, Any]]]:
        """Return it; nothing is in the archive."""
        return [self.eras if read.table == "ruleset_history" else []]

    async def commit(self, *entries: Create) -> None:
        """Enter rules."""
        self.eras += [each.values for each in entries if each.table == "ruleset_history"]


async def test_rules_that_another_server_has_changed_are_not_changed_back() -> None:
    """Only a start checks that everything owned has a place in the rules, and then enters them."""
    history = History()
    storage = cast("StorageClient", history)
    rulebook = Rulebook(ruleset(TOWN), {})
    assert not await rulebook.open(storage, 1)
    assert not await rulebook.open(storage, 2)
    history.eras.append({"seq": 2, "version": "theirs", "from_ms": 3, "renamed": "{}"})
    with pytest.raises(LookupError, match="another server has changed the rules"):
        await rulebook.open(storage, 4)
    assert len(history.eras) == 2
    assert await Rulebook(ruleset(TOWN), {}).open(storage, 5)
