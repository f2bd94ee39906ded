"""Many requests at once: what must happen once happens once, and nothing is lost or doubled."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import trio

from tests.e2e.players import Json, Player, at_once, check_books, fresh_key, refused

if TYPE_CHECKING:
    from bench.wire import Client, Response

PARALLEL = 200


async def test_last_affordable_building_is_ordered_once(http: Client) -> None:
    """Of two hundred parallel orders for something affordable once, exactly one succeeds."""
    player = await Player.join(http)
    orders = (partial(player.order, "palace") for _ in range(PARALLEL))
    answers: list[Response] = await at_once(orders)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[201] == 1, statuses
    assert statuses.keys() <= {201, 409, 503}
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "insufficient-resources")
    assert await player.amount("gold") == 100
    assert len((await player.get("/v1/inventory/orders"))["orders"]) == 1
    await check_books(player)


async def test_same_key_in_parallel_has_one_effect(http: Client) -> None:
    """The same key and body a hundred times at once: one order, a hundred equal answers."""
    player = await Player.join(http)
    key = fresh_key()
    orders = (partial(player.order, "keep", key=key) for _ in range(100))
    answers: list[Response] = await at_once(orders)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 200: 99}
    assert len({answer.content for answer in answers}) == 1
    assert await player.amount("gold") == 999
    await check_books(player)


async def test_same_transfer_in_parallel_is_one_transfer(http: Client) -> None:
    """The same transfer fifty times at once moves the goods once."""
    sender, receiver = await Player.join(http), await Player.join(http)
    key = fresh_key()
    sends = (partial(sender.transfer, receiver.name, {"gold": 7}, key) for _ in range(50))
    answers: list[Response] = await at_once(sends)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49}
    assert len({answer.content for answer in answers}) == 1
    assert (await sender.amount("gold"), await receiver.amount("gold")) == (993, 1007)


async def test_cancel_and_completion_exclude_each_other(http: Client) -> None:
    """At the time of completion exactly one of the two wins, and the books balance."""
    rng = random.Random(1)
    players = [await Player.join(http) for _ in range(16)]
    won: Counter[str] = Counter()

    async def race(player: Player) -> None:
        order = await player.ordered("hut")
        await trio.sleep(0.15 + rng.uniform(-0.06, 0.02))
        answer = await player.cancel(order)
        ended: Json = await player.get(f"/v1/inventory/orders/{order['id']}")
        huts = (await player.inventory())["buildings"].get("hut", 0)
        if answer.status_code == 200:
            assert answer.json()["refund"] == {"wood": 10}
            assert (ended["state"], huts) == ("cancelled", 0)
        else:
            assert refused(answer, 409, "order-not-pending")["state"] == "completed"
            assert (ended["state"], huts) == ("completed", 1)
        won[ended["state"]] += 1
        causes = Counter(entry["cause"] for entry in await check_books(player))
        assert causes["order-cancelled"] + causes["order-completed"] == 1

    async with trio.open_nursery() as nursery:
        for player in players:
            nursery.start_soon(race, player)
    assert won.total() == len(players)


async def test_cancels_in_parallel_refund_once(http: Client) -> None:
    """Fifty cancels of one order: one refund, forty-nine refusals."""
    player = await Player.join(http)
    order = await player.ordered("palace")
    answers: list[Response] = await at_once(partial(player.cancel, order) for _ in range(50))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 49}
    assert await player.amount("gold") == 1000
    await check_books(player)


async def test_transfers_both_ways_neither_block_nor_lose(http: Client) -> None:
    """Two accounts send to each other all at once: every transfer arrives, the books balance."""
    one, two = await Player.join(http), await Player.join(http)
    sends = (
        partial(sender.transfer, receiver.name, {"gold": amount})
        for amount in range(1, 31)
        for sender, receiver in ((one, two), (two, one))
    )
    with trio.fail_after(20):
        answers: list[Response] = await at_once(sends)
    assert Counter(answer.status_code for answer in answers) == {201: 60}
    assert (await one.amount("gold"), await two.amount("gold")) == (1000, 1000)
    for player in (one, two):
        entries = await check_books(player)
        causes = Counter(entry["cause"] for entry in entries)
        assert (causes["transfer-sent"], causes["transfer-received"]) == (30, 30)


async def test_refresh_in_parallel_gives_one_rotation(http: Client) -> None:
    """A refresh token used twenty times at once counts as reuse: the session ends."""
    player = await Player.join(http)
    body = {"refresh_token": player.tokens["refresh_token"]}
    spend = partial(http.post, "/v1/sessions/refresh", json=body)
    answers: list[Response] = await at_once(spend for _ in range(20))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[200] <= 1
    assert statuses[401] >= 19
    refused(await player.send("GET", "/v1/inventory"), 401, "invalid-token")


async def test_registration_in_parallel_gives_the_name_once(http: Client) -> None:
    """Twenty registrations of one name at once: one account."""
    credentials = {"username": "everybody", "password": "correct horse battery"}
    register = partial(http.post, "/v1/accounts", json=credentials)
    answers: list[Response] = await at_once(register for _ in range(20))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
