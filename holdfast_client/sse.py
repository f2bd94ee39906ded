"""Parses server-sent events (WHATWG HTML, "Server-sent events", 9.2.6); nothing is awaited."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_CHARACTERS_MAX: Final = 1_048_576
"""How long an event may be before it counts as something else."""


class TooLong(ValueError):
    """The event does not end."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event as received; ``last_id`` is the latest id in the stream, or empty."""

    name: str
    data: str
    last_id: str


class Parser:
    """Takes pieces of a stream as they arrive, and yields the messages that they complete."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._name = ""
        self._data: list[str] = []
        self._data_length = 0
        self._last_id = ""

    def feed(self, piece: bytes) -> Iterator[Message]:
        """Take a piece and yield the messages that it completes.

        Raises:
            TooLong: an event exceeds `EVENT_CHARACTERS_MAX`.
        """
        text = self._rest + self._decoder.decode(piece)
        # A CR at the end may be half of a CR LF.
        held = "\r" if text.endswith("\r") else ""
        text = text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = text.split("\n")
        self._rest = rest + held
        for line in lines:
            message = self._take(line)
            if message is not None:
                yield message
        if len(self._rest) + self._data_length > EVENT_CHARACTERS_MAX:
            raise TooLong(f"an event of more than {EVENT_CHARACTERS_MAX} characters")

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
                self._data_length += len(value) + 1  # with its line end: it may be empty
            case "id" if "\0" not in value:
                self._last_id = value
            case _:
                pass  # a comment, or a field that is not used here
        return None

    def _dispatch(self) -> Message | None:
        name, data = self._name, self._data
        self._name, self._data, self._data_length = "", [], 0
        return Message(name or "message", "\n".join(data), self._last_id) if data else None
