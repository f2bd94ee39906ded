"""Splitting a nursery's group into what failed and what was cancelled."""

from __future__ import annotations

import pytest
import trio

from app.http.cancellation import split_failure


async def cancelled() -> trio.Cancelled:
    """Return a Cancelled, which cannot be made by hand."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            return error
    raise AssertionError


def holds(group: BaseExceptionGroup[BaseException], type_: type[BaseException]) -> bool:
    """Return whether a group contains an exception of a type at any depth."""
    return group.subgroup(type_) is not None


async def test_split_failure_takes_a_group_apart() -> None:
    """Nested or not, errors and cancellations are separated."""
    failure = ValueError("x")
    group = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [failure, await cancelled()])])
    failed, rest = split_failure(group)
    assert holds(failed, ValueError)
    assert not holds(failed, trio.Cancelled)
    assert holds(rest, trio.Cancelled)
    assert not holds(rest, ValueError)


async def test_split_failure_passes_on_a_pure_cancellation() -> None:
    """A group of cancellations alone is raised as it came."""
    group = BaseExceptionGroup("g", [await cancelled(), await cancelled()])
    with pytest.raises(BaseExceptionGroup) as raised:
        split_failure(group)
    assert raised.value is group


async def test_split_failure_passes_on_an_interrupt() -> None:
    """A group with a KeyboardInterrupt is never treated as a failure."""
    group = BaseExceptionGroup("g", [KeyboardInterrupt(), ValueError(), await cancelled()])
    with pytest.raises(BaseExceptionGroup) as raised:
        split_failure(group)
    assert raised.value is group
