"""What the description of a key promises."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from app.config import ConfigError
from app.config.keys import all_keys, describe, show


def test_keys_all_have_a_meaning() -> None:
    """Every key says what it means, in a sentence."""
    for key in all_keys().values():
        assert key.description.endswith("."), key.path


def test_keys_without_a_description_are_refused() -> None:
    """A key cannot be added without saying what it means."""

    class Section(msgspec.Struct):
        bare: int = 1
        bounded: Annotated[int, Meta(ge=1)] = 1

    for field in msgspec.structs.fields(Section):
        with pytest.raises(TypeError, match=f"x.{field.name} has no description"):
            describe("x", field, 1)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (5, "5"),
        (0.5, "0.5"),
        ('a "b"', '"a \\"b\\""'),
        ({}, "a table"),
        ([1], "a list"),
        ("x" * 100, '"' + "x" * 58 + "…"),
    ],
)
def test_keys_show_a_value_as_the_file_has_it(value: object, shown: str) -> None:
    """A refused value is shown as it would be written, cut to a reasonable length."""
    assert show(value) == shown


def test_keys_never_show_a_refused_secret() -> None:
    """A secret of the wrong type is refused without being shown."""
    with pytest.raises(ConfigError, match="must be a string, not this value") as caught:
        all_keys()["auth.key"].check(12345, "source")
    assert "12345" not in str(caught.value)
