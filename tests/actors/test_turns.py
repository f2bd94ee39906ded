"""Long work in pieces."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints

from actors.turns import Turns


@pytest.mark.trio
async def test_turns_let_others_run_after_so_much_work_each_time() -> None:
    """Within a piece, and in what is left at the end, nobody else runs."""
    turns = Turns(10)
    for much, completes in ((4, False), (5, False), (1, True), (25, True), (3, False), (7, True)):
        with assert_checkpoints() if completes else assert_no_checkpoints():
            await turns.worked(much)


@pytest.mark.trio
async def test_turns_can_be_cancelled_where_one_is_complete() -> None:
    """Work finished before the cancellation stays done."""
    turns = Turns(2)
    done = 0
    with trio.CancelScope() as scope:
        scope.cancel()
        while True:
            done += 1
            await turns.worked()
    assert scope.cancelled_caught
    assert done == 2
