"""What the tests of the HTTP front have in common."""

from __future__ import annotations

import pytest

from tests.app.http import harness


@pytest.fixture(params=[harness.FAST, harness.HYPERCORN])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test through each lane; gives the name of the one."""
    name: str = request.param
    monkeypatch.setattr(harness, "LANE", name)
    return name
