"""A mistake in the table of endpoints ends the start, and the error names its row."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.http.endpoint import Auth, Call, Endpoint, Key
from app.http.endpoints import ENDPOINTS
from app.http.openapi import with_openapi
from app.http.routes import Route, Router
from app.http.soundness import check_table
from tests.app.http.harness import serving


class Inner(msgspec.Struct, frozen=True):
    """Accepts unknown members."""

    x: int = 0


class Lax(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Is strict itself, but contains one that is not."""

    inner: Inner


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Accepts only its declared members."""

    amounts: dict[str, int]


async def answer(call: Call[Any, Any]) -> None:
    """Do nothing."""


async def another(call: Call[Any, Any]) -> None:
    """Do nothing under another name."""


def row(**columns: Any) -> Endpoint:
    """Make a row that is sound apart from the given columns."""
    usual: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/alliances/{alliance_id:uuid}/members",
        "handler": answer,
        "summary": "A test",
        "tag": "test",
        "auth": Auth.PLAYER,
    }
    return Endpoint(**{**usual, **columns})


def test_table_that_is_served_is_sound() -> None:
    """The program's table has no fault, and neither has the row that the others are made from."""
    check_table(with_openapi(ENDPOINTS))
    check_table([row(), row(path="/x", handler=another, request=Strict, key=Key.REQUIRED)])


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"method": "post"}, "the method is none of"),
        ({"path": "v1/x"}, "the path is not made of"),
        ({"path": "/v1/x/"}, "the path is not made of"),
        ({"path": "/v1/{Name:uuid}"}, "the path is not made of"),
        ({"path": "/v1/{name}"}, "the path is not made of"),
        ({"absent": "unknown-aliance"}, "no problem 'unknown-aliance'"),
        ({"errors": ("queue-full", "alliance-ful")}, "no problem 'alliance-ful'"),
        ({"status": 2001}, "no status 2001"),
        ({"also": ((20, "Again"),)}, "no status 20"),
        ({"key": Key.REQUIRED, "auth": Auth.NONE}, "anybody may call"),
        ({"key": Key.OPTIONAL}, "is read with a body"),
        ({"request": Inner}, "Inner lacks forbid_unknown_fields=True"),
        ({"request": Lax}, "Inner lacks forbid_unknown_fields=True"),
        ({"query": Inner}, "Inner lacks forbid_unknown_fields=True"),
    ],
)
def test_row_with_a_slip_is_named(columns: dict[str, Any], fault: str) -> None:
    """Whatever could not be served, or less strictly than all else, is reported with its row."""
    slip = row(**columns)
    with pytest.raises(ValueError, match=f"^{slip.method} .*{fault}"):
        check_table([slip])


def test_rows_of_one_handler_are_named() -> None:
    """A handler's name is the operation's name in the document: no two rows share it."""
    with pytest.raises(ValueError, match="POST /x: another is named answer"):
        check_table([row(), row(path="/x")])


async def test_server_with_a_slip_in_its_table_does_not_start() -> None:
    """A faulty table is never served: no request has to find the fault."""
    with pytest.RaisesGroup(
        pytest.RaisesExc(ValueError, match="alliance-ful"), allow_unwrapped=True
    ):
        async with serving(endpoints=[row(errors=("alliance-ful",))]):
            pass


def test_two_routes_for_the_same_are_refused() -> None:
    """A later row hides no earlier one, whatever they call the parameter."""

    async def respond(*_: object) -> Any:
        """Do nothing."""

    routes = [Route("GET", "/v1/x/{name:text}", label, respond) for label in ("one", "two")]
    with pytest.raises(ValueError, match=r"GET /v1/x/\{name:text\} is answered by two routes"):
        Router(routes)


def test_row_says_who_may_call() -> None:
    """A row that leaves that out cannot be made: nothing is open by omission."""
    columns: dict[str, Any] = {"method": "GET", "path": "/x", "summary": "x", "tag": "x"}
    with pytest.raises(TypeError, match="'auth'"):
        Endpoint(handler=answer, **columns)
