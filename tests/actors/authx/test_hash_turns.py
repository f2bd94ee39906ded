"""Turns to hash: as many at once as workers, operators first, others soon after."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from actors.authx.hash_turns import OTHERS_BETWEEN, HashTurns


async def order_of(comers: str, workers: int = 1) -> str:
    """Have tasks wait in this order, operators as "o"; return the order in which they begin."""
    turns = HashTurns(workers)
    begun: list[str] = []

    async def take_one(comer: str) -> None:
        await turns.begin(operator=comer == "o")
        begun.append(comer)
        await wait_all_tasks_blocked()
        turns.end()

    for _ in range(workers):
        turns.begin_nowait()
    async with trio.open_nursery() as nursery:
        for comer in comers:
            nursery.start_soon(take_one, comer)
            await wait_all_tasks_blocked()
        for _ in range(workers):
            turns.end()
    assert turns.free == workers
    return "".join(begun)


async def test_operator_has_the_next_turn_that_is_free() -> None:
    """This holds however many players came before."""
    assert await order_of("ppppppo") == "opppppp"


async def test_operators_have_one_turn_of_four_where_others_wait() -> None:
    """A crowd using their names leaves others three turns in four; alone it takes every turn."""
    assert await order_of("oooo" + "p" * 7) == "opppopppopo"


@given(comers=st.text("op", max_size=20), workers=st.integers(1, 3))
def test_everybody_has_a_turn(comers: str, workers: int) -> None:
    """No turn is lost; between two operators come three others, as long as any wait."""
    begun = trio.run(order_of, comers, workers)
    assert sorted(begun) == sorted(comers)
    if workers == 1:
        last_other = begun.rfind("p")
        between = begun[: last_other + 1].split("o")[1:-1]
        assert all(len(others) >= OTHERS_BETWEEN for others in between)


@pytest.mark.parametrize("operator", [True, False])
async def test_who_is_cancelled_has_no_turn_and_keeps_none_from_others(
    operator: bool,
) -> None:
    """This holds whether they are cancelled before a turn is free or at that very moment."""
    turns = HashTurns(1)
    turns.begin_nowait()
    begun = trio.Event()

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            await turns.begin(operator=operator)
            begun.set()

    async with trio.open_nursery() as nursery:
        scopes = [trio.CancelScope() for _ in range(3)]
        for scope in scopes:
            nursery.start_soon(wait, scope)
            await wait_all_tasks_blocked()
        scopes[0].cancel()
        await wait_all_tasks_blocked()
        turns.end()
        scopes[1].cancel()  # It already has its turn.
        await begun.wait()
        assert turns.free == 0
        turns.end()
        await wait_all_tasks_blocked()
        assert turns.free == 0
        turns.end()
    assert turns.free == 1
    with trio.CancelScope() as late:
        late.cancel()
        await turns.begin(operator=operator)
    assert turns.free == 1
