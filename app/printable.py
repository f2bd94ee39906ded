r"""Text for a person at a terminal: what others wrote into it neither draws, moves nor forges.

A path, a name or a message may hold whatever a client sent: escape sequences that a terminal obeys,
ends of lines, marks that turn the direction of what follows. All that Python calls not printable
is written as an escape of it (``\x1b``, ``\u202e``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_INDENT = "  "


class Shown(str):
    """A text that is to be written as it stands: a renderer that quotes texts finds it quoted."""

    __slots__ = ()
    __repr__ = str.__str__


def printable(text: str) -> str:
    """Return the text with an escape in the place of each character that is not printable."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def printable_lines(text: str) -> str:
    """Return a text of several lines so, indented, so that none of them begins as an event does."""
    return "\n".join(f"{_INDENT}{printable(line)}" for line in text.split("\n"))


def printable_json(text: str) -> str:
    """Return a line of JSON that says the same and has no character that is not printable."""
    if text.isprintable():
        return text
    # Outside of its texts JSON has nothing but ASCII, and within them this is an escape of its own.
    return "".join(each if each.isprintable() else _json_escape(each) for each in text)


def make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make the names and values of an event printable, those within others too (a processor)."""
    return {
        printable(name): value if name == "exc_info" else _shown(value)
        for name, value in event.items()
    }


def _shown(value: object) -> object:
    """Return a value that a renderer will write in one printable line."""
    if type(value) in {int, float, bool, type(None)}:
        return value
    if isinstance(value, str):
        return value if value.isprintable() else Shown(repr(value))
    return Shown(printable(repr(value)))


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
