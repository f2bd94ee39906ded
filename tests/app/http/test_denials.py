"""The log of refusals at operators' endpoints: it names everybody, and no loop floods it."""

from __future__ import annotations

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from actors.authx.messages import Authorize, Identity
from app.http.denials import ACCOUNT_BURST, ALL_BURST, Denials
from app.http.trail import Trail
from tests.app.http.harness import (
    ACCOUNT_ID,
    BEARER,
    SESSION_ID,
    FakeWorld,
    serving,
)

TRAIL = Trail(method="GET", path="/v1/admin/status", route="/v1/admin/status", client="192.0.2.1")


def denials() -> tuple[Denials, LogCapture]:
    """Return a log of refusals, and a capture of it."""
    capture = LogCapture()
    log = structlog.wrap_logger(
        None, processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    return Denials(log), capture


@pytest.mark.usefixtures("lane")
@pytest.mark.parametrize("one_time", [False, True])
async def test_player_on_an_operators_endpoint_is_told_of(one_time: bool) -> None:
    """Who, from where and for what, even if the password must be changed first; never the token."""
    world = FakeWorld()
    world.answers[Authorize] = Identity(ACCOUNT_ID, SESSION_ID, "player", "ada", one_time)
    path = "/v1/admin/accounts/0197f0a0-0000-7000-8000-00000000000b/sessions?secret=1"
    async with serving(world) as server:
        refused = await server.client.request(
            "DELETE", path, json={"reason": "x"}, headers={**BEARER, "X-Request-Id": "one"}
        )
        assert refused.status_code == 403
        slug = "password-change-required" if one_time else "forbidden"
        assert refused.json()["type"] == f"/problems/{slug}"
        assert (await server.client.get("/v1/admin/status")).status_code == 401
    (event,) = world.events("operator_access_refused")
    assert {**event} == {
        "event": "operator_access_refused",
        "log_level": "info",
        "request_id": "one",
        "method": "DELETE",
        "route": "/v1/admin/accounts/{account_id}/sessions",
        "client": "127.0.0.1",
        "account_id": ACCOUNT_ID,
    }


@pytest.mark.usefixtures("lane")
async def test_operator_is_let_in_without_a_word() -> None:
    """An operator with a one-time password is refused, but that is not logged."""
    world = FakeWorld()
    world.answers[Authorize] = Identity(ACCOUNT_ID, SESSION_ID, "admin", "ada", True)
    async with serving(world) as server:
        assert (await server.client.get("/v1/admin/status", headers=BEARER)).status_code == 403
    assert world.events("operator_access_refused") == []


async def test_account_in_a_loop_is_told_of_once_a_minute(autojump_clock: object) -> None:
    """An account in a loop logs one line a minute, and keeps nobody else out of the log."""
    told, capture = denials()
    for _ in range(1_000):
        told.tell(TRAIL, "loop")
    assert len(capture.entries) == ACCOUNT_BURST
    told.tell(TRAIL, "other")
    assert capture.entries[-1]["account_id"] == "other"
    capture.entries.clear()
    for _ in range(3_000):
        await trio.sleep(0.1)
        told.tell(TRAIL, "loop")
    assert len(capture.entries) == 300 // 60


async def test_many_accounts_do_not_flood_the_log(autojump_clock: object) -> None:
    """All accounts together are bounded too; the bound recovers over time."""
    told, capture = denials()
    for number in range(10 * ALL_BURST):
        told.tell(TRAIL, f"account{number}")
    assert len(capture.entries) == ALL_BURST
    await trio.sleep(1)
    told.tell(TRAIL, "another")
    assert capture.entries[-1]["account_id"] == "another"
