"""The code that the page on adding an actor has its readers write runs here in a server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from bench.serving import PROGRAM, Server, environment
from tests.docs.pages import DOCS, ROOT, blocks
from tests.e2e.players import Player, client, fresh_key
from tests.e2e.server import SETTINGS
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import PostgresServer

PACKAGES = ("actors", "app", "bus", "examples", "rulesets")
MIGRATION = "9001_chest.sql"


def hunks(diff: str) -> Iterator[tuple[str, str, str]]:
    """Yield the file, old text and new text of each hunk of a diff."""
    for file, _, text in (part.partition("\n") for part in diff.split("--- ")[1:]):
        for hunk in text.split("@@\n"):
            lines = [(line[:1], line[1:] + "\n") for line in hunk.splitlines()]
            assert {sign for sign, _ in lines} <= {" ", "+", "-"}, hunk
            old = "".join(line for sign, line in lines if sign != "+")
            new = "".join(line for sign, line in lines if sign != "-")
            yield file, old, new


def extended(directory: Path) -> Path:
    """Copy the program and change the copy as the page says."""
    tree = directory / "tree"
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    migrations = tree / "actors" / "database" / "migrations"
    shutil.copy(ROOT / "examples" / "chest" / MIGRATION, migrations / MIGRATION)
    page = blocks(DOCS / "add-an-actor.md")
    diffs = [block.text for block in page if block.language == "diff"]
    assert len(diffs) == 3
    for diff in diffs:
        for file, old, new in hunks(diff):
            text = (tree / file).read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{file} has not one place for:\n{old}"
            (tree / file).write_text(text.replace(old, new), encoding="utf-8")
    return tree


class Extended(Server):
    """A server that runs the copy."""

    tree: Path

    def command(self, *arguments: str) -> list[str]:
        """Return a command of the program."""
        return [sys.executable, "-P", "-c", PROGRAM, *arguments]

    def environment(self) -> dict[str, str]:
        """Return the environment in which the copy is imported first."""
        return {**environment(self.settings), "PYTHONPATH": str(self.tree)}

    def _spawn(self, log: IO[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command("serve"),
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )

    def said(self, *arguments: str) -> str:
        """Run a command of the program beside the server; return its output."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout


async def test_page_leads_to_a_server_with_both_actors(postgres: PostgresServer) -> None:
    """Each actor answers at its address; payments are exported, backed up and erased.

    A new world begins with an empty chest.
    """
    dsn = await postgres.create_database_async(migrated=False)
    with reachable_directory() as directory:
        server = Extended(directory, {**SETTINGS, "HOLDFAST_DATABASE__DSN": dsn})
        server.tree = extended(directory)
        try:
            server.start()
            async with client(server.url) as http:
                player = await Player.join(http)
                name = next(iter((await player.get("/v1/inventory"))["resources"]))
                paid = {"resources": {name: 2}}
                key = fresh_key()
                for status in (201, 200):
                    answer = await player.send("POST", "/v1/chest/payments", paid, key)
                    assert (answer.status_code, answer.json()) == (status, paid)
                assert await player.get("/v1/chest") == paid
                assert (await player.get("/v1/leaderboard"))["standings"] is not None
                assert (await http.get("/readyz")).json()["actors"]["chest"] == "ready"
                told = json.loads(server.said("export", "--account", player.name))
                [payment] = told["chest_payments"]
                assert (payment["resources"], payment["state"]) == ({name: 2}, "made")
                assert "schema version 9001" in server.said("backup", "world.dump")
                server.said("accounts", "erase", player.name, "--yes")
                another = await Player.join(http)
                assert await another.get("/v1/chest") == paid
            assert server.stop() == 0
            assert server.failures() == []
            server.said("reset", "--no-backup", "--yes")
            server.start()
            async with client(server.url) as http:
                player = await Player.join(http)
                assert await player.get("/v1/chest") == {"resources": {}}
                answer = await player.send("POST", "/v1/chest/payments", paid, fresh_key())
                assert (answer.status_code, await player.get("/v1/chest")) == (201, paid)
            assert server.stop() == 0
            assert server.failures() == []
        finally:
            server.end()
