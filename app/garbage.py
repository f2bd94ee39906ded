"""How often Python looks for garbage that goes in circles, while a server or a simulation runs.

Hardly anything here does: messages, orders and views are freed by counting their references, and
the structs among them are not looked through at all. What lives as long as the program is left
out of every collection by a freeze.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

_ALLOCATIONS: Final = 50_000
"""Objects made and not freed since the last collection that bring about the next one.

It looks through those of them that may be part of a circle, and everybody waits for it, up to
some tens of milliseconds: seldom enough that it is not what the slowest request in a hundred waits
for. What goes in circles meanwhile is some megabytes.
"""
_YOUNG, _OLD = 5, 100
"""So many collections of the young bring about one that looks through all that survived them, and
so many of those one of everything."""


@contextmanager
def rare_collections() -> Generator[None]:
    """Freeze what is there, and collect seldom, until the context is left.

    Where something was frozen before, all of it stays so: there is no telling it apart.
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
