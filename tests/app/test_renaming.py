"""What ``world.renamed`` does at each of several rule changes if it is left in place."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.renaming import already_done, judge
from tests.actors.inventory.world import ruleset

if TYPE_CHECKING:
    from actors.inventory.ruleset import Ruleset


def rules(*names: str) -> Ruleset:
    """Make rules with buildings, and with units where the name has a ``+``.

    ``hut*3`` has three instances.
    """
    text = "[queues.site]\n[resources.air]\n"
    for each in names:
        name, _, instances = each.lstrip("+").partition("*")
        section = "units" if each.startswith("+") else "buildings"
        text += f"[{section}.{name}]\ncost = {{air = 1}}\nduration = 1\n"
        text += f"instances = {instances}\n" if instances else ""
    return ruleset(text)


SWAP = {"barn": "academy", "academy": "barn"}
BOTH = rules("barn", "academy")


def test_two_names_change_places_once() -> None:
    """A later change leaves them where they are, though the setting is still there."""
    first = judge(SWAP, [{}], BOTH, BOTH)
    assert (first.applied, first.done) == (SWAP, {})
    for later in ([{}, SWAP], [{}, SWAP, {}]):
        again = judge(SWAP, later, BOTH, BOTH)
        assert (again.applied, again.done, again.standing) == ({}, SWAP, ())


def test_entry_that_is_added_is_carried_out_alone() -> None:
    """Earlier renamings are not repeated with it."""
    asked = {**SWAP, "hut": "cottage"}
    renaming = judge(asked, [{}, SWAP], rules("barn", "academy", "hut"), rules("barn", "academy"))
    assert renaming.applied == {"hut": "cottage"}
    assert renaming.done == SWAP


def test_new_unit_of_an_old_name_is_not_taken_for_it() -> None:
    """Neither at the change that introduces it nor at later ones."""
    asked = {"brig": "frigate"}
    old, new, later = rules("+brig"), rules("+frigate"), rules("+frigate", "+brig")
    assert judge(asked, [{}], old, new).applied == asked
    gone = rules("+frigate", "hut")
    for before, after in ((new, later), (later, later), (later, gone), (gone, later)):
        renaming = judge(asked, [{}, asked], before, after)
        assert (renaming.applied, renaming.done, renaming.standing) == ({}, asked, ())


def test_names_that_went_there_and_back_go_there_again() -> None:
    """What counts is whether the old name is in use, not whether it was renamed before."""
    hut, cottage = rules("hut"), rules("cottage")
    history = [{}, {"hut": "cottage"}, {"cottage": "hut"}]
    assert judge({"hut": "cottage"}, history, hut, cottage).applied == {"hut": "cottage"}
    once_more = judge({"cottage": "hut"}, history, hut, rules("hut", "tower"))
    assert (once_more.applied, once_more.done) == ({}, {"cottage": "hut"})


def test_old_name_that_stands_is_refused_unless_another_takes_it() -> None:
    """Some owners would lose it, and the name would be empty for no reason."""
    before, new = rules("hut", "farm"), rules("hut", "cottage")
    assert judge({"hut": "cottage"}, [{}], before, new).standing == ("hut",)
    passed_on = {"hut": "cottage", "farm": "hut"}
    renaming = judge(passed_on, [{}], before, new)
    assert (renaming.applied, renaming.standing) == (passed_on, ())
    left = judge(passed_on, [{}, passed_on], new, rules("hut", "cottage", "tower"))
    assert (left.applied, left.standing, left.unknown) == ({}, (), ())


def test_name_that_is_of_another_kind_now_does_not_stand() -> None:
    """A unit has no place if its name is now a building's: it needs another one."""
    renaming = judge({"scout": "spy"}, [{}], rules("+scout"), rules("scout", "+spy"))
    assert (renaming.applied, renaming.standing) == ({"scout": "spy"}, ())


@pytest.mark.parametrize(
    ("asked", "before", "new"),
    [
        ({"pan": "pit"}, "pan*2", "pit*2"),
        ({"pan": "pan:1"}, "pan", "pan*2"),
        ({"pan:1": "pan"}, "pan*2", "pan"),
        ({"pan": "pit", "pan:2": "mill"}, "pan*2", "pit*2"),
        ({"pan": "pit", "pan:1": "pit", "pan:2": "mill"}, "pan*2", "pit"),
    ],
)
def test_instances_go_with_their_building(asked: dict[str, str], before: str, new: str) -> None:
    """By the building's name, or each by its own."""
    renaming = judge(asked, [{}], rules(before), rules(new, "mill"))
    assert (renaming.applied, renaming.standing, renaming.unknown) == (asked, (), ())


def test_name_that_the_rules_never_had_is_told() -> None:
    """A name they had before the last renaming is left over, not misspelt."""
    renaming = judge(
        {"hutt": "cottage", "farm": "ranch"},
        [{}, {"farm": "ranch"}],
        rules("hut", "ranch"),
        rules("cottage", "ranch"),
    )
    assert renaming.unknown == ("hutt",)
    assert renaming.done == {"farm": "ranch"}


def test_rules_that_cannot_be_read_any_more_are_judged_by_the_new_ones() -> None:
    """An old name is assumed to have been there."""
    assert judge({"hut": "cottage"}, [{}], None, rules("cottage")).applied == {"hut": "cottage"}
    assert judge({"hut": "cottage"}, [{}], None, rules("hut", "cottage")).standing == ("hut",)
    assert judge(SWAP, [{}, SWAP], None, BOTH).done == SWAP


def test_what_is_done_is_told_without_a_change_too() -> None:
    """By the latest entry of the history for each name."""
    history = [{}, {"hut": "cottage", "barn": "shed"}, {"barn": "depot"}]
    assert already_done({"hut": "cottage", "barn": "shed"}, history) == {"hut": "cottage"}


NAMES = ["a", "b", "c"]


def done_still(old: str, history: list[dict[str, str]]) -> bool:
    """Whether a name was renamed, and no later renaming gave that name to anything."""
    steps = [step for step in history if old in step or old in step.values()]
    return bool(steps) and old in steps[-1] and old not in steps[-1].values()


@given(
    st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=2, max_size=5),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES), min_size=1),
)
def test_setting_that_is_left_in_place_is_carried_out_once(
    eras: list[set[str]], asked: dict[str, str]
) -> None:
    """Whatever the first outcome: an asset with the old name at a later change is another thing."""
    made = [rules(*sorted(names)) for names in eras]
    history: list[dict[str, str]] = [{}]
    for before, new in pairwise(made):
        renaming = judge(asked, history, before, new)
        if renaming.standing or renaming.unknown:
            return
        assert not {old for old in renaming.applied if done_still(old, history)}
        history.append(dict(renaming.applied))
