"""A server that starts with changed rules: settled under the old, continued under the new."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.players import Player, check_books, client, until
from tests.e2e.server import WORLD, complaint, run_to_its_end, serving
from tests.postgres import run_script

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.players import Json
    from tests.postgres import PostgresServer

CHANGES = {
    "base_per_hour = 720000": "base_per_hour = 1440000",
    "cost = { gold = 900 }\nduration = 3600\nrefund = 1": (
        "cost = { gold = 100 }\nduration = 60\nrefund = 0.1"
    ),
    "cost = { gold = 1 }\ncost_growth = 1\nduration = 3600": (
        "cost = { gold = 3 }\ncost_growth = 1\nduration = 60"
    ),
}


@pytest.fixture
def own_dsn(postgres: PostgresServer) -> str:
    """Make a database for one test."""
    return postgres.create_database()


def changed(text: str, changes: dict[str, str]) -> str:
    """Change a ruleset; each change must match."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


async def test_changed_rules_hold_from_their_start_on(place: Path, own_dsn: str) -> None:
    """Pending orders keep price, duration and refund; new orders and income follow the new."""
    rules = place / "world.toml"
    rules.write_text(WORLD.read_text())
    settings = {"HOLDFAST_WORLD__RULESET": str(rules), "HOLDFAST_DATABASE__DSN": own_dsn}
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            player = await Player.join(http)
            idle = await Player.join(http)
            await player.built("hut")
            palace = await player.ordered("palace")
            keep = await player.ordered("keep")
            assert (await idle.inventory())["resources"]["wood"]["per_hour"] == 720_000
        assert server.stop() == 0

        rules.write_text(changed(WORLD.read_text(), CHANGES))
        server.start()
        assert len(server.events("ruleset_changed")) == 1
        async with client(server.url) as http:
            for each in (player, idle):
                each.http = http
                wood = (await each.inventory())["resources"]["wood"]
                assert wood["per_hour"] == 1_440_000
                await check_books(each)
            await check_pending(player, palace, keep)
        assert server.stop() == 0
        assert server.failures() == []


async def check_pending(player: Player, palace: Json, keep: Json) -> None:
    """Check that earlier orders keep the old rules and new orders follow the new ones."""
    pending = (await player.inventory())["orders"]
    assert pending == [palace, keep]
    assert (await player.ordered("keep"))["cost"] == {"gold": 3}
    cancelled = (await player.cancel(palace)).json()
    assert cancelled["refund"] == {"gold": 900}
    [running] = [o for o in (await player.inventory())["orders"] if o["id"] == keep["id"]]
    assert running["cost"] == {"gold": 1}
    quote = await player.get("/v1/inventory/quotes/palace")
    assert (quote["cost"], quote["duration_seconds"]) == ({"gold": 100}, 60)
    assert await player.amount("gold") == 1000 - 1 - 3
    await check_books(player)


async def test_removed_asset_is_refused_until_it_has_a_place(place: Path, own_dsn: str) -> None:
    """Rules that lack an owned asset are refused with the count of owners; a rename fixes them."""
    rules = place / "world.toml"
    rules.write_text(WORLD.read_text())
    settings = {"HOLDFAST_WORLD__RULESET": str(rules), "HOLDFAST_DATABASE__DSN": own_dsn}
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            players = [await Player.join(http) for _ in range(2)]
            for player in players:
                await player.built("hut")
                await player.ordered("scout", 3)
        assert server.stop() == 0

        new = {"[buildings.hut]": "[buildings.cottage]", "hut = 1": "cottage = 1"}
        rules.write_text(changed(WORLD.read_text(), new))
        line = complaint(run_to_its_end(place, **settings))
        assert "hut (2)" in line
        assert "world.renamed" in line
        # The same holds for an asset that keeps its name but changes its kind.
        rules.write_text(changed(WORLD.read_text(), {"[units.scout]": "[technologies.scout]"}))
        assert "scout (2), now a level" in complaint(run_to_its_end(place, **settings))

        rules.write_text(changed(WORLD.read_text(), new))
        server.start(HOLDFAST_WORLD__RENAMED="hut=cottage")
        async with client(server.url) as http:
            for player in players:
                player.http = http

                async def recruited(player: Player = player) -> bool:
                    return bool((await player.inventory())["units"] == {"scout": 3})

                await until(recruited)
                assert (await player.inventory())["buildings"] == {"cottage": 1}
                await check_books(player)
        assert server.stop() == 0
        # The renaming is done: the next start no longer needs the setting.
        server.start(HOLDFAST_WORLD__RENAMED="")
        assert server.stop() == 0


async def test_setting_that_is_left_in_place_renames_once(place: Path, own_dsn: str) -> None:
    """Huts and mills swap once, and later starts log that it is done already."""
    rules = place / "world.toml"
    rules.write_text(WORLD.read_text())
    settings = {"HOLDFAST_WORLD__RULESET": str(rules), "HOLDFAST_DATABASE__DSN": own_dsn}
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            player, idle = [await Player.join(http) for _ in range(2)]
            for each in (player, idle):
                await each.built("hut")
        assert server.stop() == 0

        misspelt = run_to_its_end(
            place, **settings, HOLDFAST_WORLD__RENAMED="hutt=mill", HOLDFAST_WORLD__SPEED="2"
        )
        assert "world.renamed renames hutt, which the world's rules" in complaint(misspelt)
        gone = run_to_its_end(
            place, **settings, HOLDFAST_WORLD__RENAMED="hut=mill", HOLDFAST_WORLD__SPEED="2"
        )
        assert "renames hut, which the ruleset 'world' still has" in complaint(gone)

        swap = {"HOLDFAST_WORLD__RENAMED": "hut=mill, mill=hut"}
        for speed, done in (("2", 0), ("2", 1), ("3", 1), ("4", 1)):
            server.start(**swap, HOLDFAST_WORLD__SPEED=speed)
            assert len(server.events("renamed_already")) == done
            async with client(server.url) as http:
                player.http = http
                assert (await player.inventory())["buildings"] == {"mill": 1}
                await check_books(player)
            assert server.stop() == 0
        # A player who was away meanwhile finds the same.
        server.start(HOLDFAST_WORLD__SPEED="5")
        async with client(server.url) as http:
            idle.http = http
            assert (await idle.inventory())["buildings"] == {"mill": 1}
            await check_books(idle)
        assert server.stop() == 0
        assert server.failures() == []


GEMS = """
[resources.gem]
start = 5

[units.ring]
cost = { gem = 10 }
duration = 0.05
"""
JEWELS = """
[resources.jewel]

[units.ring]
cost = { gold = 10 }
duration = 0.05
"""


async def test_goods_on_their_way_are_refused_until_they_have_a_place(
    place: Path, own_dsn: str
) -> None:
    """Goods in a transfer count as owned, and arrive under their new name."""
    rules = place / "world.toml"
    rules.write_text(WORLD.read_text() + GEMS)
    settings = {"HOLDFAST_WORLD__RULESET": str(rules), "HOLDFAST_DATABASE__DSN": own_dsn}
    with serving(place, **settings) as server:
        async with client(server.url) as http:
            sender, receiver = [await Player.join(http) for _ in range(2)]
            sent = (await sender.transfer(receiver.name, {"gem": 5})).json()
            await receiver.ordered("ring", 1)

            async def finished() -> bool:
                return bool((await receiver.inventory())["units"] == {"ring": 1})

            await until(finished)
            assert [await each.amount("gem") for each in (sender, receiver)] == [0, 0]
        assert server.stop() == 0
        # As if killed between the sender's unit of work and the receiver's.
        await run_script(
            own_dsn,
            lambda session: session.execute(
                "update transfers set state = 'sent', settled_ms = null, version = 1"
                " where transfer_id = $1",
                sent["id"],
            ),
        )

        rules.write_text(WORLD.read_text() + JEWELS)
        line = complaint(run_to_its_end(place, **settings))
        assert "gem (1)" in line
        assert "world.renamed" in line

        server.start(HOLDFAST_WORLD__RENAMED="gem=jewel")
        async with client(server.url) as http:
            sender.http = receiver.http = http

            async def arrived() -> bool:
                return await receiver.amount("jewel") == 5

            await until(arrived)
            assert await sender.amount("jewel") == 0
            [listed] = (await receiver.get("/v1/transfers"))["transfers"]
            assert (listed["state"], listed["resources"]) == ("delivered", {"gem": 5})
            await check_books(receiver)
        assert server.stop() == 0
        assert server.failures() == []
