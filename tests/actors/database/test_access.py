"""Who may search a directory, and how one user is let through without letting in anybody else."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

import pytest

from actors.database.access import let_search, may_search

if TYPE_CHECKING:
    from pathlib import Path

    from tests.actors.database.lists import Lists

THEM = 54321
OTHER = 54322
OWNER, USER, OWN_GROUP, GROUP, MASK, OTHERS = 1, 2, 4, 8, 16, 32
NO_ID = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o100, 0, 9, True),
        (0o011, 0, 0, False),  # the owner gets the owner's bits and no others
        (0o010, 9, 0, True),
        (0o101, 9, 0, False),  # and likewise for a group
        (0o001, 9, 9, True),
        (0o776, 9, 9, False),
    ],
)
def test_may_search_by_mode(
    tmp_path: Path, lists: Lists, mode: int, uid: int, gid: int, may: bool
) -> None:
    """Without a list, the first match among owner, group and others decides."""
    del lists
    status = tmp_path.stat()
    tmp_path.chmod(mode)
    try:
        assert may_search(tmp_path, status.st_uid + uid, status.st_gid + gid) is may
    finally:
        tmp_path.chmod(0o700)


def test_may_search_by_entries(tmp_path: Path, lists: Lists) -> None:
    """A user's own entry comes before those of groups, and these before all others."""
    lists.give(
        tmp_path,
        (OWNER, 7, NO_ID),
        (USER, 0, THEM),
        (OWN_GROUP, 0, NO_ID),
        (GROUP, 1, OTHER),
        (MASK, 1, NO_ID),
        (OTHERS, 1, NO_ID),
    )
    gid = tmp_path.stat().st_gid
    assert not may_search(tmp_path, THEM, OTHER)
    assert may_search(tmp_path, OTHER, OTHER)
    assert not may_search(tmp_path, OTHER, gid)
    assert may_search(tmp_path, OTHER, OTHER + 1)


def test_let_search_is_for_one_user(tmp_path: Path, lists: Lists) -> None:
    """The user may pass through; the rights of owner, group and others stay as they were."""
    tmp_path.chmod(0o740)
    gid = tmp_path.stat().st_gid
    assert let_search(tmp_path, THEM)
    assert may_search(tmp_path, THEM, THEM)
    assert not may_search(tmp_path, OTHER, OTHER)
    assert not may_search(tmp_path, OTHER, gid)
    assert lists.of(tmp_path) == [
        (OWNER, 7, NO_ID),
        (USER, 1, THEM),
        (OWN_GROUP, 4, NO_ID),
        (MASK, 5, NO_ID),
        (OTHERS, 0, NO_ID),
    ]


def test_let_search_wakes_nothing_that_a_mask_holds_back(tmp_path: Path, lists: Lists) -> None:
    """Modes closed by chmod stay closed to everyone but the one user let through."""
    lists.give(
        tmp_path,
        (OWNER, 7, NO_ID),
        (USER, 7, OTHER),
        (USER, 5, THEM),
        (OWN_GROUP, 5, NO_ID),
        (MASK, 4, NO_ID),
        (OTHERS, 0, NO_ID),
    )
    assert not may_search(tmp_path, THEM, THEM)
    assert let_search(tmp_path, THEM)
    assert may_search(tmp_path, THEM, THEM)
    assert not may_search(tmp_path, OTHER, OTHER)
    assert lists.of(tmp_path) == [
        (OWNER, 7, NO_ID),
        (USER, 5, THEM),
        (USER, 4, OTHER),
        (OWN_GROUP, 4, NO_ID),
        (MASK, 5, NO_ID),
        (OTHERS, 0, NO_ID),
    ]


@pytest.mark.parametrize("refusal", [errno.ENOTSUP, errno.EPERM])
def test_let_search_where_there_are_no_lists(tmp_path: Path, lists: Lists, refusal: int) -> None:
    """A file system without ACLs, or a sandbox that forbids them, is reported and left as it is."""
    lists.refusal = errno.ENOTSUP
    assert not may_search(tmp_path, THEM, THEM)
    lists.refusal = refusal
    if refusal == errno.EPERM:
        lists.give(tmp_path, (OWNER, 7, NO_ID), (OWN_GROUP, 0, NO_ID), (OTHERS, 0, NO_ID))
    before = tmp_path.stat().st_mode
    assert not let_search(tmp_path, THEM)
    assert tmp_path.stat().st_mode == before


def test_may_search_of_what_cannot_be_read(tmp_path: Path, lists: Lists) -> None:
    """A list that exists and cannot be read is an error, not a permission."""
    lists.refusal = errno.EIO
    with pytest.raises(OSError, match="no list"):
        may_search(tmp_path, THEM, THEM)


def test_let_search_as_the_kernel_sees_it(tmp_path: Path) -> None:
    """A real file system accepts the list, and the list opens nothing to everyone."""
    tmp_path.chmod(0o700)
    if not let_search(tmp_path, THEM):
        pytest.skip("this file system has no ACLs")
    assert may_search(tmp_path, THEM, THEM)
    assert not may_search(tmp_path, OTHER, OTHER)
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o707 == 0o700
