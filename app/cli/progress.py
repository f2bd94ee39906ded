"""A sign of life for what takes a moment, on a terminal only."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


@contextmanager
def working(text: str) -> Generator[None]:
    """Show ``text`` with a spinner on standard error while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


@contextmanager
def reporting(text: str) -> Generator[Callable[[str], None]]:
    """As `working`; yields what replaces the words behind ``text`` while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _step: None
        return
    with console.status(text) as status:
        yield lambda step: status.update(f"{text}: {escape(step)}")
