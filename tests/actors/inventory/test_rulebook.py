"""What the rulebook keeps of rules that were in force before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio

from actors.inventory import Rulebook
from tests.actors.inventory.world import TOWN, ruleset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.inventory.ruleset import Ruleset
    from actors.storage import Read, StorageClient


class Archive:
    """Gives one ruleset, after a while."""

    def __init__(self, rules: Ruleset) -> None:
        self._rules = rules

    async def read(self, *_reads: Read) -> list[list[Mapping[str, Any]]]:
        """Give it, whatever was asked."""
        await trio.sleep(1)
        return [[{"content": self._rules.archive}]]


async def test_rules_of_the_past_are_compiled_once_for_all_who_ask(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A page of accounts asks at once: each on its own would stop everybody for seconds."""
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
