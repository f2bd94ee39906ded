"""How often Python collects cyclic garbage while a server or a simulation runs.

There are hardly any cycles: reference counting frees messages, orders and views, and the
collector does not traverse the structs among them at all. A freeze excludes objects that live as
long as the program from every collection.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

_ALLOCATIONS: Final = 50_000
"""Objects allocated and not freed since the last collection that trigger the next one.

A collection traverses those that may be part of a cycle and stops everything else, for up to some
tens of milliseconds; one of the middle generation for 0.2 s if nearly all of them live on, as when
thousands of inventories are activated in a row. That is rarely enough that it does not determine
the p99 latency. Cyclic garbage amounts to some megabytes in between.
"""
_YOUNG, _OLD = 5, 100
"""How many collections of the young generation trigger one of the middle generation, and how many
of those trigger a full one."""


@contextmanager
def rare_collections() -> Generator[None]:
    """Freeze all live objects and collect rarely until the context exits.

    If anything was frozen before, everything stays frozen: the two cannot be told apart.
    """
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _YOUNG, _OLD)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()
