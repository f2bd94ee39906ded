"""Query strings: typed, bounded, and every odd spelling refused."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from app.http.errors import InvalidRequest
from app.http.query import PARAMETERS_MAX, QueryDecoder, parameters


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A query as an endpoint declares it."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100
    cause: str | None = None


DECODER = QueryDecoder(Page)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        (b"", Page()),
        (b"limit=500", Page(500)),
        (b"limit=1&cause=order%20placed", Page(1, "order placed")),
        (b"cause=5", Page(cause="5")),
        (b"cause=", Page(cause="")),
        (b"%6cimit=7", Page(7)),
    ],
)
def test_query_is_decoded_as_its_type(query: bytes, page: Page) -> None:
    """Integers become integers, strings stay strings, absent parameters get their defaults."""
    assert DECODER.decode(query) == page


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"limit=0", "limit"),
        (b"limit=501", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=", "limit"),
        (b"limit", "limit"),
        (b"limit=05", "limit"),
        (b"limit=%2B5", "limit"),
        (b"limit=5.0", "limit"),
        (b"limit=5e0", "limit"),
        (b"limit=true", "limit"),
        (b"limit=%D9%A1", "limit"),
        (b"limit=%00", "limit"),
        (b"cause=a%00b", "cause"),
        (b"ca%00use=a", "cause"),
        (b"limit=" + b"9" * 30, "limit"),
        (b"limit=" + b"9" * 5_000, "limit"),
        (b"limit=1&limit=2", "limit"),
        (b"Limit=1", "Limit"),
        (b"offset=1", "offset"),
        (b"%ff=1", "\N{REPLACEMENT CHARACTER}"),
        (b"&".join(b"p%d=1" % n for n in range(PARAMETERS_MAX + 1)), ""),
    ],
)
def test_query_refuses_what_does_not_fit(query: bytes, field: str) -> None:
    """Anything but a declared parameter, once, within its bounds, is refused by name."""
    with pytest.raises(InvalidRequest) as refusal:
        DECODER.decode(query)
    assert refusal.value.errors[0].field == field


def test_query_type_must_be_a_struct() -> None:
    """A table row with another type of query fails when the table is bound, not on a request."""
    with pytest.raises(TypeError):
        QueryDecoder(int)


def test_parameters_keep_empty_values() -> None:
    """A parameter without a value is present and empty."""
    assert parameters(b"a=&b") == {"a": "", "b": ""}
