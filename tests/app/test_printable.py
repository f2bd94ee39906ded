"""Printable text comes out as it was, and nothing unprintable comes out raw."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.printable import printable, printable_json, printable_lines

TEXT = st.text(alphabet=st.characters(exclude_categories=[]))


@given(TEXT)
def test_printable_text_is_printable_and_as_it_was_where_it_can_be(text: str) -> None:
    """Whatever the text, the result is one line that any terminal only draws."""
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)
    assert (printable(text) == text) is text.isprintable()


@given(TEXT)
def test_printable_lines_are_the_same_lines(text: str) -> None:
    """Line endings stay, but only those that everybody treats as one; each line is indented."""
    lines = printable_lines(text).split("\n")
    assert lines == [f"  {printable(line)}" for line in text.split("\n")]


@given(st.text())
def test_printable_json_says_the_same(text: str) -> None:
    """Escaped or not, the line decodes to what was written."""
    line = printable_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == {text: [text]}
