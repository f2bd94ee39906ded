"""Decodes received data as the types of the API; nothing is awaited."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T")


def decoded(content: bytes | str, shape: type[T]) -> T:
    """Decode JSON as a value of the type ``shape``.

    Raises:
        ValueError: it is not one, for whatever reason.
    """
    try:
        return msgspec.json.decode(content, type=shape)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def converted(value: object, shape: type[T], otherwise: T) -> T:
    """Convert plain data to a value of ``shape``; return ``otherwise`` if it is not one."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError:
        return otherwise
