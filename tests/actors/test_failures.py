"""Extracting the failure from an exception group: `actors.failures`."""

from __future__ import annotations

from actors.failures import leaves, one_line, unwrapped

ONE, TWO, THREE = ValueError(1), KeyError(2), OSError(3)


def test_leaves_lays_nested_groups_flat() -> None:
    """Every exception of a group is yielded, however nested; a lone one yields itself."""
    group = ExceptionGroup("outer", [ONE, ExceptionGroup("inner", [TWO, THREE])])
    assert list(leaves(group)) == [ONE, TWO, THREE]
    assert list(leaves(ONE)) == [ONE]


def test_unwrapped_takes_a_lone_failure_out_of_its_groups() -> None:
    """A group of one becomes that one, however deep; a group of several stays as it is."""
    several = ExceptionGroup("inner", [ONE, TWO])
    assert unwrapped(ExceptionGroup("outer", [ExceptionGroup("inner", [ONE])])) is ONE
    assert unwrapped(ExceptionGroup("outer", [several])) is several


def test_one_line_tells_the_first() -> None:
    """The line has the type and text of the first exception."""
    assert one_line(ExceptionGroup("outer", [ONE, TWO])) == "ValueError: 1"
