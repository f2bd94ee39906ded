"""Telling failures from cancellations where a nursery has put both into one group."""

from __future__ import annotations

import trio


def split_failure(
    group: BaseExceptionGroup[BaseException],
) -> tuple[ExceptionGroup[Exception], BaseExceptionGroup[trio.Cancelled]]:
    """Split a group into what failed, to be logged, and what was cancelled, to be raised.

    Raises:
        BaseExceptionGroup: the group itself, where it is not made of these two.
    """
    cancelled, others = group.split(trio.Cancelled)
    failed, interrupts = (None, None) if others is None else others.split(Exception)
    if cancelled is None or failed is None or interrupts is not None:
        raise group
    return failed, cancelled
