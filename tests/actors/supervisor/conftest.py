"""The supervisor of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.actors.supervisor.support import Harness

if TYPE_CHECKING:
    import trio


@pytest.fixture
async def harness(nursery: trio.Nursery) -> Harness:
    """Make a supervisor over the test's own nursery."""
    return Harness(nursery)
