"""Right-to-left titles and texts are laid out correctly within the lines of the page."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.visitor import Visitor
    from tests.e2e.server import Server

TITLES = {
    "Wood": "\u05e2\u05e5",
    "Stone": "\u05d0\u05d1\u05df",
    "Gold": "\u0630\u0647\u0628",
    "Workers": "\u05e4\u05d5\u05e2\u05dc\u05d9\u05dd",
}
TOLD = "\u05d2\u05d2 1+"

PLACES = """(node) => {
    const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    const places = [];
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        [...text.data].forEach((character, at) => {
            const range = document.createRange();
            range.setStart(text, at);
            range.setEnd(text, at + 1);
            if (/[-+\u2212\u2192\\d/]/.test(character))
                places.push(range.getBoundingClientRect().left);
        });
    }
    return places;
}"""
"""The horizontal positions of an element's signs and digits, in the order of its text."""


@pytest.fixture
def visitor(
    world: Callable[[str], Server],
    visit: Callable[..., Visitor],
    tmp_path_factory: pytest.TempPathFactory,
) -> Visitor:
    """Enter a world whose resources have Hebrew and Arabic names."""
    rules = resources.files("rulesets").joinpath("tutorial.toml").read_text(encoding="utf-8")
    for title, other in TITLES.items():
        rules = rules.replace(f'title = "{title}"', f'title = "{other}"')
    before = "A roof for the workers: each level brings five more."
    assert before in rules
    rules = rules.replace(before, TOLD)
    path = tmp_path_factory.mktemp("directions") / "rules.toml"
    path.write_text(rules, encoding="utf-8")
    visitor = visit(world(str(path)).url)
    visitor.sign_up()
    return visitor


def places(visitor: Visitor, selector: str) -> list[float]:
    """Return the positions of the signs and digits of the first such element, in text order."""
    found: list[float] = visitor.page.locator(selector).first.evaluate(PLACES)
    assert len(found) > 1
    return found


def test_change_is_read_before_what_it_comes_to(visitor: Visitor) -> None:
    """The arrow of the ledger leads from the change to the balance."""
    visitor.open("Ledger")
    change = ".changes li"
    expect(visitor.page.locator(change).first).to_be_visible()
    found = places(visitor, change)
    assert found == sorted(found)


def test_description_has_the_direction_of_its_words(visitor: Visitor) -> None:
    """The sign that ends a Hebrew sentence stands at its left."""
    description = f".about:has-text('{TOLD}')"
    expect(visitor.page.locator(description)).to_be_visible()
    found = places(visitor, description)
    assert found == sorted(found, reverse=True)
