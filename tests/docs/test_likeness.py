"""The comparison with a page accepts only the differences that are allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.likeness import GAP, Likeness

ID = "01a20a1f-c490-77a5-ad9a-04c3b670a3f4"
OTHER = "01a20a1f-c4eb-74ab-8419-47c4d3ca6d5b"


@pytest.mark.parametrize(
    ("shown", "actual"),
    [
        ({"id": ID}, {"id": OTHER}),
        ({"at": "2026-11-23T20:36:23Z"}, {"at": "2027-01-01T00:00:00.5Z"}),
        ({"token": "v4.local.…"}, {"token": "v4.local.abc"}),
        ({"amount": 120}, {"amount": 123}),
        ({"tick": 1}, {"tick": 99_999}),
        ({"a": 1, GAP: GAP}, {"a": 1, "b": 2}),
        ([1, GAP, 4], [1, 2, 3, 4]),
        ([GAP, 4], [4]),
        ([1, GAP], [1, 2]),
    ],
)
def test_likeness_lets_pass_what_may_differ(shown: Any, actual: Any) -> None:
    """Ids, times, growing values, and parts that the page leaves out may differ."""
    assert Likeness().differences(shown, actual) == []


@pytest.mark.parametrize(
    ("shown", "actual"),
    [
        ({"id": ID}, {"id": "not an id"}),
        ({"at": "2026-11-23T20:36:23Z"}, {"at": "yesterday"}),
        ({"at": None}, {"at": "2026-11-23T20:36:23Z"}),
        ({"level": 1}, {"level": 2}),
        ({"amount": 120}, {"amount": 1_200}),
        ({"amount": 120}, {"amount": 120.0}),
        ({"flag": True}, {"flag": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ([1, 2], [1, 2, 3]),
        ([1, GAP, 4], [1, 2, 3]),
        ([1, 2], 12),
        ({}, []),
    ],
)
def test_likeness_sees_what_is_wrong(shown: Any, actual: Any) -> None:
    """Everything else is reported as a difference."""
    assert Likeness().differences(shown, actual) != []


def test_likeness_wants_the_same_id_where_the_page_repeats_one() -> None:
    """An order shown twice is one order."""
    page = Likeness()
    assert page.differences({"id": ID}, {"id": OTHER}) == []
    assert page.differences({"id": ID}, {"id": OTHER}) == []
    assert page.differences({"id": ID}, {"id": ID}) != []
