"""Transfers between accounts: every outcome, and each policy for goods that do not fit."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.e2e.players import (
    PASSWORD,
    Json,
    Player,
    check_books,
    client,
    fresh_key,
    fresh_name,
    refused,
    replay,
)
from tests.e2e.server import WORLD, serving
from tests.postgres import reachable_directory

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bench.wire import Client
    from tests.e2e.server import Server
    from tests.postgres import PostgresServer


@pytest.fixture
async def pair(http: Client) -> tuple[Player, Player]:
    """Return two new players."""
    return await Player.join(http), await Player.join(http)


@pytest.fixture(scope="module", params=["reject", "spill"])
def policy(request: pytest.FixtureRequest) -> str:
    """Return each policy other than ``hold``, which the module's usual server has."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def strict_server(policy: str, postgres: PostgresServer) -> Iterator[Server]:
    """Run a server under another policy."""
    with reachable_directory() as directory:
        rules = directory / "world.toml"
        text = WORLD.read_text().replace('overflow = "hold"', f'overflow = "{policy}"')
        rules.write_text(text)
        with serving(
            directory,
            HOLDFAST_WORLD__RULESET=str(rules),
            HOLDFAST_DATABASE__DSN=postgres.create_database(),
        ) as running:
            yield running
            assert running.stop() == 0
            assert running.failures() == []


@pytest.fixture
async def strict_pair(strict_server: Server) -> AsyncGenerator[tuple[Player, Player], None]:
    """Yield two players under the other policy."""
    async with client(strict_server.url) as http:
        yield await Player.join(http), await Player.join(http)


def last_changes(entries: list[Json], cause: str) -> Json:
    """Return the changes of the last entry with this cause."""
    changes: Json = [entry for entry in entries if entry["cause"] == cause][-1]["changes"]
    return changes


async def test_transfer_has_arrived_when_it_is_answered(pair: tuple[Player, Player]) -> None:
    """The sender's loss is the receiver's gain, both ledgers say so, and both see the record."""
    sender, receiver = pair
    body = {"to": receiver.name.upper(), "resources": {"gold": 300, "stone": 20}, "note": "hi"}
    answer = await sender.send("POST", "/v1/transfers", body, fresh_key())
    assert answer.status_code == 201
    transfer = answer.json()
    assert (transfer["from"], transfer["to"]) == (sender.name, receiver.name)
    assert (transfer["state"], transfer["note"]) == ("delivered", "hi")
    assert (await sender.amount("gold"), await receiver.amount("gold")) == (700, 1300)
    assert (await sender.amount("stone"), await receiver.amount("stone")) == (80, 120)
    for player, cause in ((sender, "transfer-sent"), (receiver, "transfer-received")):
        [entry] = [e for e in await check_books(player) if e["cause"] == cause]
        assert entry["transfer_id"] == transfer["id"]
        assert (await player.get("/v1/transfers"))["transfers"] == [transfer]


async def test_transfers_are_read_page_by_page(pair: tuple[Player, Player]) -> None:
    """Newest first, sent and received in one list, and pages stay stable while more are sent."""
    ann, bob = pair
    ids: list[str] = []
    for sender, receiver in ((ann, bob), (bob, ann)) * 3:
        ids.append((await sender.transfer(receiver.name, {"gold": 1})).json()["id"])
    for player in pair:
        found: list[str] = []
        before: str | None = ""
        while before is not None:
            page = await player.get(f"/v1/transfers?before={before}&limit=4")
            found += [each["id"] for each in page["transfers"]]
            before = page["next"]
            assert before is None or before == found[-1]
            ids.append((await ann.transfer(bob.name, {"gold": 1})).json()["id"])
        # Two pages were read, and another transfer was sent after each.
        assert found == ids[-3::-1][: len(found)]
        assert len(found) == len(ids) - 2
    nobody = "00000000-0000-0000-0000-000000000000"
    assert await ann.get(f"/v1/transfers?before={nobody}") == {"transfers": [], "next": None}


async def test_transfer_is_found_by_its_two_sides(
    pair: tuple[Player, Player], http: Client
) -> None:
    """Sender and receiver read the same; to a third player who knows the id, there is none."""
    sender, receiver = pair
    transfer = (await sender.transfer(receiver.name, {"gold": 3})).json()
    path = f"/v1/transfers/{transfer['id']}"
    for player in pair:
        assert await player.get(path) == transfer
    third = await Player.join(http)
    foreign = refused(await third.send("GET", path), 404, "unknown-transfer")
    for place in (uuid.uuid4(), "nothing"):
        answer = await third.send("GET", f"/v1/transfers/{place}")
        assert refused(answer, 404, "unknown-transfer").keys() == foreign.keys()
    refused(await http.get(path), 401, "invalid-token")
    erased = await sender.send("DELETE", "/v1/accounts/me", {"password": PASSWORD})
    assert erased.status_code == 204
    assert await receiver.get(path) == {**transfer, "from": "", "note": ""}


async def test_transfer_sent_again_is_one_transfer(pair: tuple[Player, Player]) -> None:
    """The same key returns the first answer again; another body under it is refused."""
    sender, receiver = pair
    key = fresh_key()
    first = await sender.transfer(receiver.name, {"gold": 10}, key)
    again = await sender.transfer(receiver.name, {"gold": 10}, key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    other = await sender.transfer(receiver.name, {"gold": 11}, key)
    refused(other, 422, "idempotency-key-reused")
    refused(await sender.order("keep", key=key), 422, "idempotency-key-reused")
    assert (await sender.amount("gold"), await receiver.amount("gold")) == (990, 1010)


async def test_transfer_refusals_change_nothing(pair: tuple[Player, Player]) -> None:
    """Insufficient funds, no such player, oneself, no resource: each has its own refusal."""
    sender, receiver = pair
    short = await sender.transfer(receiver.name, {"gold": 1001, "stone": 5})
    assert refused(short, 409, "insufficient-resources")["missing"] == {"gold": 1}
    refused(await sender.transfer(fresh_name(), {"gold": 1}), 404, "unknown-account")
    refused(await sender.transfer("no such name!", {"gold": 1}), 404, "unknown-account")
    refused(await sender.transfer(sender.name, {"gold": 1}), 422, "invalid-request")
    refused(await sender.transfer(receiver.name, {}), 422, "invalid-request")
    for name in ("hut", "scout", "silver"):
        answer = await sender.transfer(receiver.name, {name: 1})
        assert answer.status_code in {404, 422}, answer.text
    no_key = await sender.send(
        "POST", "/v1/transfers", {"to": receiver.name, "resources": {"gold": 1}}
    )
    refused(no_key, 400, "idempotency-key-required")
    assert (await sender.get("/v1/transfers"))["transfers"] == []
    assert (await sender.amount("gold"), await receiver.amount("gold")) == (1000, 1000)


async def test_transfer_stops_at_the_limit_of_the_day(pair: tuple[Player, Player]) -> None:
    """The ruleset's limit counts the amounts sent today; the refusal says how much is left."""
    sender, receiver = pair
    for _ in range(5):
        there = await sender.transfer(receiver.name, {"gold": 999})
        assert there.status_code == 201
        back = await receiver.transfer(sender.name, {"gold": 999})
        assert back.status_code == 201
    limit = await sender.transfer(receiver.name, {"gold": 6})
    assert refused(limit, 409, "transfer-limit")["left"] == {"gold": 5}
    assert (await sender.transfer(receiver.name, {"gold": 5})).status_code == 201


async def test_transfer_beyond_the_capacity_is_held(pair: tuple[Player, Player]) -> None:
    """Under ``hold`` goods without room wait, and enter when there is room."""
    sender, receiver = pair
    assert (await sender.transfer(receiver.name, {"stone": 80})).status_code == 201
    assert await receiver.amount("stone") == 150
    told = replay(await receiver.ledger())
    assert (told["stone"], told["held:stone"]) == (150, 30)
    assert (await receiver.transfer(sender.name, {"stone": 100})).status_code == 201
    assert await receiver.amount("stone") == 80
    assert "held:stone" not in replay(await receiver.ledger())
    assert await sender.amount("stone") == 120


async def test_transfer_beyond_the_capacity_is_spilled_or_returned(
    policy: str, strict_pair: tuple[Player, Player]
) -> None:
    """``spill`` loses the excess and records it; ``reject`` returns everything to the sender."""
    sender, receiver = strict_pair
    key = fresh_key()
    answer = await sender.transfer(receiver.name, {"stone": 80, "gold": 5}, key)
    again = await sender.transfer(receiver.name, {"stone": 80, "gold": 5}, key)
    if policy == "spill":
        assert (answer.status_code, again.status_code) == (201, 200)
        stocks = (await sender.amount("stone"), await receiver.amount("stone"))
        assert stocks == (20, 150)
        entries = await check_books(receiver)
        assert last_changes(entries, "spilled") == {"stone": {"delta": -30, "balance": 150}}
    else:
        problem = refused(answer, 409, "transfer-returned")
        assert refused(again, 409, "transfer-returned") == problem
        assert "idempotency-replayed" not in answer.headers
        assert again.headers["idempotency-replayed"] == "true"
        [record] = (await sender.get("/v1/transfers"))["transfers"]
        assert (record["id"], record["state"]) == (problem["transfer_id"], "returned")
        for player in strict_pair:
            assert (await player.amount("stone"), await player.amount("gold")) == (100, 1000)
            await check_books(player)


async def test_transfer_keeps_the_record_of_an_erased_account(
    pair: tuple[Player, Player],
) -> None:
    """An erased player's transfers remain, without their name."""
    sender, receiver = pair
    assert (await sender.transfer(receiver.name, {"gold": 7})).status_code == 201
    erased = await sender.send("DELETE", "/v1/accounts/me", {"password": PASSWORD})
    assert erased.status_code == 204
    [record] = (await receiver.get("/v1/transfers"))["transfers"]
    assert (record["from"], record["resources"]) == ("", {"gold": 7})
    assert await receiver.amount("gold") == 1007
    await check_books(receiver)


async def test_transfer_is_answered_again_though_its_receiver_is_erased(
    pair: tuple[Player, Player],
) -> None:
    """A retry gets the answer, without the name; a new transfer finds no such player."""
    sender, receiver = pair
    key = fresh_key()
    first = await sender.transfer(receiver.name, {"gold": 7}, key)
    assert first.status_code == 201
    erased = await receiver.send("DELETE", "/v1/accounts/me", {"password": PASSWORD})
    assert erased.status_code == 204
    again = await sender.transfer(receiver.name, {"gold": 7}, key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json() == first.json() | {"to": ""}
    refused(await sender.transfer(receiver.name, {"gold": 7}), 404, "unknown-account")
    assert await sender.amount("gold") == 993
