"""Kills the server (SIGKILL) repeatedly under load, and counts the world after each kill.

Ten accounts in a ring send each other gold and order units. Gold is never produced, so at any
moment what the accounts hold, what is in transit between them and what orders have cost add up to
the initial amount. After each kill the server is restarted, every unanswered command is sent again
with its key, and the tables are counted. At the end every answered command is there once, no
refused one is, there is nothing else, and each ledger replays to its inventory.

    python bench/kill.py --kills 200

Prints a JSON summary; exits with 1 at the first broken promise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import trio

from actors.database.driver import open_database
from bench.serving import CHEAP, Server
from bench.wire import Broken, Client, Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from actors.database.session import Session

RING = Path(__file__).with_name("ring.toml")
START_GOLD = 1_000_000
PASSWORD = "correct horse battery"  # noqa: S105 - nobody's
DECLARED = {"insufficient-resources", "queue-full"}

_TOTAL = """
select
    (select coalesce(sum((state #>> '{amounts,gold,0}')::bigint
                       + coalesce((state #>> '{held,gold,0}')::bigint, 0)), 0)
     from inventories) as held,
    (select coalesce(sum((resources ->> 'gold')::bigint), 0)
     from transfers where state = 'sent') as under_way,
    (select coalesce(sum((cost ->> 'gold')::bigint), 0)
     from orders where state <> 'cancelled') as spent,
    (select count(*) from inventories) as accounts
"""

_EFFECTS = """
select
    (select array_agg(key order by account_id, key) from idempotency) as keys,
    (select array_agg(coalesce(response #>> '{order,id}', response #>> '{transfer,id}')
                      order by account_id, key)
     from idempotency) as answers,
    (select array_agg(order_id) from orders) as orders,
    (select array_agg(transfer_id) from transfers) as transfers,
    (select count(*) from transfers where state <> 'delivered') as undelivered
"""


class PromiseBroken(Exception):
    """The world is not what it must be; the message says how."""


def require(condition: object, promise: str) -> None:
    """Stop at the first broken promise."""
    if not condition:
        raise PromiseBroken(promise)


@dataclass(frozen=True)
class Command:
    """A command of an account, with its key."""

    account: int
    path: str
    body: dict[str, Any]
    key: str


@dataclass
class Ring:
    """The accounts, and all their commands and answers."""

    accounts: int
    rng: random.Random
    names: list[str] = field(default_factory=list[str])
    tokens: list[str] = field(default_factory=list[str])
    answered: dict[str, str] = field(default_factory=dict[str, str])
    refused: set[str] = field(default_factory=set[str])
    unanswered: list[Command] = field(default_factory=list[Command])
    counts: Counter[str] = field(default_factory=Counter[str])

    def bearer(self, account: int) -> dict[str, str]:
        """Return the header that authenticates an account."""
        return {"Authorization": f"Bearer {self.tokens[account]}"}

    async def join(self, client: Client) -> None:
        """Make the accounts; each has its inventory when this returns."""
        for number in range(self.accounts):
            credentials = {"username": f"ring-{number}", "password": PASSWORD}
            await client.post("/v1/accounts", json=credentials)
            session = await client.post("/v1/sessions", json=credentials)
            self.names.append(credentials["username"])
            self.tokens.append(session.json()["access_token"])
            await client.get("/v1/inventory", self.bearer(number))

    async def play(self, client: Client, account: int, *, sender: bool) -> None:
        """Send one command after another until the server is gone."""
        while True:
            command = self._transfer(account) if sender else self._order(account)
            answer = await self.tell(client, command)
            if answer is None:
                return
            if answer.status_code == 201 and command.body.get("asset") == "statue":
                await self._cancel(client, account, answer.json()["id"])

    async def tell(self, client: Client, command: Command) -> Response | None:
        """Send a command and keep its outcome; None if there was no answer."""
        headers = {**self.bearer(command.account), "Idempotency-Key": command.key}
        try:
            answer = await client.post(command.path, json=command.body, headers=headers)
        except Broken:
            self.unanswered.append(command)
            return None
        kind = command.path.rpartition("/")[2]
        if answer.status_code in {200, 201}:
            id_: str = answer.json()["id"]
            require(
                self.answered.setdefault(command.key, id_) == id_,
                f"key {command.key} was answered with {id_} and {self.answered[command.key]}",
            )
            self.counts[f"{kind} {answer.status_code}"] += 1
        elif answer.status_code == 503:
            self.unanswered.append(command)
            self.counts[f"{kind} {answer.slug}"] += 1
            await trio.sleep(0.05)
        else:
            require(
                answer.slug in DECLARED,
                f"{command} was answered {answer.status_code}: {answer.text}",
            )
            self.refused.add(command.key)
            self.counts[f"{kind} {answer.slug}"] += 1
        return answer

    async def tell_again(self, client: Client) -> None:
        """Send unanswered commands again, with the same keys, until all have an answer."""
        with trio.fail_after(30):
            while self.unanswered:
                self.counts["sent again"] += 1
                await self.tell(client, self.unanswered.pop())

    def _transfer(self, account: int) -> Command:
        to = self.names[(account + 1) % self.accounts]
        body = {"to": to, "resources": {"gold": self.rng.randint(1, 500)}}
        return Command(account, "/v1/transfers", body, uuid.uuid4().hex)

    def _order(self, account: int) -> Command:
        asset = self.rng.choice(("guard", "guard", "statue"))
        body = {"asset": asset, "count": 1}
        return Command(account, "/v1/inventory/orders", body, uuid.uuid4().hex)

    async def _cancel(self, client: Client, account: int, order_id: str) -> None:
        path = f"/v1/inventory/orders/{order_id}"
        try:
            answer = await client.request("DELETE", path, headers=self.bearer(account))
        except Broken:
            return
        require(answer.status_code in {200, 503}, f"cancel: {answer.status_code} {answer.text}")
        self.counts[f"cancels {answer.status_code}"] += 1


class Campaign:
    """One run: a server, a ring, and the requested number of kills."""

    def __init__(self, directory: Path, options: argparse.Namespace) -> None:
        settings = {
            **CHEAP,
            "HOLDFAST_WORLD__RULESET": str(RING),
            "HOLDFAST_WORLD__TICK_MS": "50",
        }
        self.server = Server(directory, settings)
        self.options = options
        self.rng = random.Random(options.seed)
        self.ring = Ring(options.accounts, self.rng)
        self.started_s: list[float] = []
        self.under_way_seen = 0
        self.postgres_kills = 0

    async def run(self) -> dict[str, object]:
        """Run the whole campaign; return the summary.

        Raises:
            PromiseBroken: the world is not what it must be.
        """
        began = time.monotonic()
        await self._start()
        async with Client(self.server.url) as client:
            await self.ring.join(client)
        await self._count()
        for number in range(1, self.options.kills + 1):
            await self._play_and_kill()
            if self.rng.random() < self.options.postgres_share:
                await trio.to_thread.run_sync(self._kill_postgres)
            else:
                await self._count()
            await self._start()
            async with Client(self.server.url) as client:
                await self.ring.tell_again(client)
            await self._count()
            await self._check_effects()
            self._tell_progress(number)
        async with Client(self.server.url) as client:
            for account in range(self.ring.accounts):
                await self._check_ledger(client, account)
        status = await trio.to_thread.run_sync(self.server.stop)
        require(status == 0, f"the last shutdown ended with {status}")
        return {
            "kills": self.options.kills,
            "of_these_with_postgres": self.postgres_kills,
            "accounts": self.ring.accounts,
            "seed": self.options.seed,
            "world_total_constant": True,
            "world_total_gold": START_GOLD * self.ring.accounts,
            "kills_with_transfers_under_way": self.under_way_seen,
            "answered_commands": len(self.ring.answered),
            "refused_commands": len(self.ring.refused),
            "outcomes": dict(sorted(self.ring.counts.items())),
            "restart_seconds_max": round(max(self.started_s), 2),
            "seconds": round(time.monotonic() - began, 1),
        }

    async def _start(self) -> None:
        began = time.monotonic()
        await trio.to_thread.run_sync(self.server.start)
        self.started_s.append(time.monotonic() - began)

    async def _play_and_kill(self) -> None:
        async with Client(self.server.url) as client, trio.open_nursery() as nursery:
            for account in range(self.ring.accounts):
                for sender in (True, True, False):
                    nursery.start_soon(partial(self.ring.play, client, account, sender=sender))
            await trio.sleep(self.rng.uniform(0.02, self.options.seconds_max))
            await trio.to_thread.run_sync(self.server.kill)

    def _kill_postgres(self) -> None:
        """Kill the database that the server left behind, as in a power failure."""
        for pid in self.server.postgres_pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.postgres_kills += 1

    def _tell_progress(self, number: int) -> None:
        answered = len(self.ring.answered)
        print(f"\rkill {number}, {answered} commands answered", end="", file=sys.stderr, flush=True)
        if number == self.options.kills:
            print(file=sys.stderr)

    @asynccontextmanager
    async def _database(self) -> AsyncGenerator[Any, None]:
        log = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            wrapper_class=structlog.make_filtering_bound_logger("error"),
        )
        async with open_database(self.server.cluster.dsn, log=log) as database:
            connection = await database.connect(name="kill")
            try:
                yield connection
            finally:
                await connection.aclose()

    async def _row(self, sql: str) -> dict[str, Any]:
        async def script(session: Session) -> dict[str, Any]:
            [row] = await session.fetch(sql)
            return dict(row)

        async with self._database() as connection:
            row: dict[str, Any] = await connection.run(script, timeout_s=60)
            return row

    async def _count(self) -> None:
        """Count the gold of the world in one statement, which sees one moment."""
        row = await self._row(_TOTAL)
        total = row["held"] + row["under_way"] + row["spent"]
        expected = START_GOLD * self.ring.accounts
        require(row["accounts"] == self.ring.accounts, f"{row['accounts']} inventories")
        require(total == expected, f"the world has {total} gold, not {expected}: {row}")
        self.under_way_seen += row["under_way"] > 0

    async def _check_effects(self) -> None:
        """Check that every answered command is there once, and that nothing else is."""
        row = await self._row(_EFFECTS)
        with trio.fail_after(30):
            # The server resumes by itself what was in progress at the last kill.
            while row["undelivered"]:
                await trio.sleep(0.1)
                row = await self._row(_EFFECTS)
        keys: list[str] = row["keys"] or []
        answers: list[str] = row["answers"] or []
        stored = dict(zip(keys, answers, strict=True))
        require(len(stored) == len(keys), "a key is there twice")
        self._check_answers(stored)
        effects = sorted([*map(str, row["orders"] or []), *map(str, row["transfers"] or [])])
        require(effects == sorted(self.ring.answered.values()), "effects are missing or too many")

    def _check_answers(self, stored: Mapping[str, str]) -> None:
        answered, refused = self.ring.answered, self.ring.refused
        require(not stored.keys() & refused, f"refused, and done: {stored.keys() & refused}")
        lost, unknown = answered.keys() - stored.keys(), stored.keys() - answered.keys()
        require(not lost, f"{len(lost)} answered and not there, as {sorted(lost)[:3]}")
        require(not unknown, f"{len(unknown)} there and not answered, as {sorted(unknown)[:3]}")
        other = [key for key in stored if stored[key] != answered[key]]
        require(not other, f"{len(other)} answered otherwise than stored, as {other[:3]}")

    async def _check_ledger(self, client: Client, account: int) -> None:
        """Check that a ledger is gap-free and replays to the inventory."""
        bearer = self.ring.bearer(account)
        with trio.fail_after(60):
            # No guard may arrive between reading the ledger and the inventory. In time, two
            # statues are ahead of those that wait.
            while await _guards_to_come(client, bearer):  # noqa: ASYNC110 - it is another process
                await trio.sleep(0.1)
        balances: dict[str, int] = {}
        after: int | None = 0
        seq = 0
        while after is not None:
            path = f"/v1/inventory/ledger?after={after}&limit=500"
            page = (await client.get(path, bearer)).json()
            for entry in page["entries"]:
                seq += 1
                require(entry["seq"] == seq, f"account {account}: {entry['seq']} follows {seq - 1}")
                for asset, change in entry["changes"].items():
                    balances[asset] = balances.get(asset, 0) + change["delta"]
                    require(balances[asset] == change["balance"], f"{account}: {entry}")
            after = page["next"]
        inventory = (await client.get("/v1/inventory", bearer)).json()
        gold = inventory["resources"]["gold"]["amount"]
        require(balances["gold"] == gold, f"account {account}: {balances['gold']} is not {gold}")
        guards = inventory["units"].get("guard", 0)
        require(balances.get("guard", 0) == guards, f"account {account}: guards differ")


async def _guards_to_come(client: Client, bearer: Mapping[str, str]) -> bool:
    inventory = (await client.get("/v1/inventory", bearer)).json()
    running = (order["asset"] for order in inventory["orders"] if order["state"] == "running")
    return "guard" in running


def first_of(group: BaseExceptionGroup[PromiseBroken]) -> BaseException:
    """Find the first error in a group, however deep."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> int:
    """Run it as a command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--accounts", type=int, default=10)
    parser.add_argument("--seconds-max", type=float, default=1.0, help="longest life of a server")
    parser.add_argument(
        "--postgres-share", type=float, default=0.2, help="of kills, PostgreSQL too"
    )
    parser.add_argument("--seed", type=int, default=None, help="of amounts and moments")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(2**32)
    with tempfile.TemporaryDirectory(prefix="holdfast-kill-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        campaign = Campaign(directory, options)
        status = 0
        try:
            print(json.dumps(trio.run(campaign.run), indent=2))
        except* PromiseBroken as broken:
            print(f"\nseed {options.seed}: {first_of(broken)}", file=sys.stderr)
            status = 1
        finally:
            campaign.server.end()
    return status


if __name__ == "__main__":
    sys.exit(main())
