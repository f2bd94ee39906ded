"""What arrives, read as the types of the API; nothing is awaited."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(content: bytes | str, shape: type[T]) -> T:
    """Read JSON as a value of the type ``shape``.

    Raises:
        ValueError: it is none, whatever is wrong with it.
    """
    try:
        return msgspec.json.decode(content, type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def converted(value: object, shape: type[T], otherwise: T) -> T:
    """Give what was read without a type as a value of ``shape``; ``otherwise`` where it is none."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return otherwise
