"""Separates failures from cancellations in an exception group raised by a nursery."""

from __future__ import annotations

import trio


def split_failure(
    group: BaseExceptionGroup[BaseException],
) -> tuple[ExceptionGroup[Exception], BaseExceptionGroup[trio.Cancelled]]:
    """Split a group into failures, to be logged, and cancellations, to be raised.

    Raises:
        BaseExceptionGroup: the group itself, if it does not consist of these two.
    """
    cancelled, others = group.split(trio.Cancelled)
    failed, interrupts = (None, None) if others is None else others.split(Exception)
    if cancelled is None or failed is None or interrupts is not None:
        raise group
    return failed, cancelled
