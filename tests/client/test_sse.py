"""What the parser of server-sent events promises, following the WHATWG standard."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast_client.sse import EVENT_CHARACTERS_MAX, Message, Parser, TooLong


def parse(*pieces: bytes) -> list[Message]:
    """Feed chunks to one parser; return all messages."""
    parser = Parser()
    return [message for piece in pieces for message in parser.feed(piece)]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("data: a\n\n", [Message("message", "a", "")]),
        ("event: x\nid: 7\ndata: a\ndata: b\n\n", [Message("x", "a\nb", "7")]),
        ("data:a\r\rdata:b\r\n\r\n", [Message("message", "a", ""), Message("message", "b", "")]),
        (": beat\n\n:\n\n", []),
        ("event: x\n\ndata: a\n\n", [Message("message", "a", "")]),
        (
            "id: 1\ndata: a\n\ndata: b\n\n",
            [Message("message", "a", "1"), Message("message", "b", "1")],
        ),
        ("id: 1\0\ndata: a\n\n", [Message("message", "a", "")]),
        ("id: 1\n\nid\ndata: a\n\n", [Message("message", "a", "")]),
        ("retry: 5\nunknown: x\ndata:  a \n\n", [Message("message", " a ", "")]),
        ("data\n\n", [Message("message", "", "")]),
        ("\ufeffdata: a\n\n", [Message("message", "a", "")]),
        ("data: unfinished\n", []),
    ],
)
def test_sse_reads_every_form_of_a_field(text: str, messages: list[Message]) -> None:
    """Line ends of every kind, comments, ids that stay, names that do not, one leading space."""
    assert parse(text.encode()) == messages


@given(
    st.lists(st.tuples(st.text(), st.integers(0, 99)), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.data(),
)
def test_sse_does_not_depend_on_how_the_stream_is_cut(
    events: list[tuple[str, int]], end: str, data: st.DataObject
) -> None:
    """However the bytes are chunked, even within a character, the messages are the same."""
    lines: list[str] = []
    expected: list[Message] = []
    for text, number in events:
        parts = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines += [f"id: {number}", *(f"data: {part}" for part in parts), ""]
        expected.append(Message("message", "\n".join(parts), str(number)))
    whole = "".join(line + end for line in lines).encode("utf-8", "replace")
    expected = [
        Message(each.name, each.data.encode("utf-8", "replace").decode(), each.last_id)
        for each in expected
    ]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    bounds = [0, *cuts, len(whole)]
    pieces = [whole[a:b] for a, b in pairwise(bounds)]
    # A CR at the very end might be the first half of a CR LF.
    assert parse(*pieces, b": and on\n") == expected


@pytest.mark.parametrize(
    "piece", [b"data: " + b"x" * 1000, b"data: " + b"x" * 1000 + b"\n", b"data\n" * 1000]
)
def test_sse_does_not_grow_without_end(piece: bytes) -> None:
    """An endless line or event is refused, not buffered."""
    parser = Parser()

    def feed() -> None:
        for _ in range(2 + EVENT_CHARACTERS_MAX // 1000):
            list(parser.feed(piece))

    with pytest.raises(TooLong):
        feed()
