r"""Text that is safe to show on a terminal, whatever others put into it.

A path, a name or a message may hold whatever a client sent: escape sequences that a terminal obeys,
line ends, marks that change the direction of what follows. Every character that Python calls not
printable is written as an escape (``\x1b``, ``\u202e``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_INDENT = "  "


class Shown(str):
    """A string that is already quoted: a renderer that quotes strings writes it as it stands."""

    __slots__ = ()
    __repr__ = str.__str__


def printable(text: str) -> str:
    """Return the text with each unprintable character replaced by an escape."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def printable_lines(text: str) -> str:
    """Make several lines printable, and indent them so that none can pass for an event."""
    return "\n".join(f"{_INDENT}{printable(line)}" for line in text.split("\n"))


def printable_json(text: str) -> str:
    """Return an equivalent line of JSON without unprintable characters."""
    if text.isprintable():
        return text
    # Outside its strings JSON is all ASCII, and inside them these are JSON's own escapes.
    return "".join(each if each.isprintable() else _json_escape(each) for each in text)


def make_printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Make an event's names and values printable, nested ones included (a processor)."""
    return {
        printable(name): value if name == "exc_info" else _shown(value)
        for name, value in event.items()
    }


def _shown(value: object) -> object:
    """Return a value that a renderer writes as one printable line."""
    if type(value) in {int, float, bool, type(None)}:
        return value
    if isinstance(value, str):
        return value if value.isprintable() else Shown(repr(value))
    return Shown(printable(repr(value)))


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
