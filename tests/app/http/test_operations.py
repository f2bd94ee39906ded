"""What operators watch and end, over a real socket; and what a one-time password allows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from actors.authx.errors import UnknownAccount
from actors.authx.messages import (
    AccountOverview,
    AuditRecord,
    Authorize,
    GetAccount,
    GetAccountOverview,
    Identity,
    ListSessions,
    ReadAudit,
    RevokeSessions,
)
from actors.inventory.errors import AccountGone
from actors.inventory.messages import GetLedger
from app.http.endpoint import Auth
from app.http.endpoints import ENDPOINTS
from app.http.streams.description import STREAMS
from app.http.types.operations import LoggedEvent, LoggedEvents
from tests.app.http.harness import (
    ACCOUNT,
    ACCOUNT_ID,
    BEARER,
    SESSION_ID,
    WHEN,
    FakeWorld,
    serving,
)
from tests.app.http.rows import WHEN_TEXT

ADMIN = {"Authorization": "Bearer v4.local.admin"}
TARGET = "0197f0a0-0000-7000-8000-00000000000b"
OTHER_SESSION = "0197f0a0-0000-7000-8000-00000000000c"
AUDIT_ID = "0197f0a0-0000-7000-8000-00000000000d"
BASE = f"/v1/admin/accounts/{TARGET}"
REASON = {"reason": "stolen"}
OVERVIEW = AccountOverview(
    TARGET,
    "bob",
    "player",
    suspended=False,
    created_at=WHEN,
    must_change_password=True,
    sessions=2,
    last_seen_at=None,
)
RECORD = AuditRecord(
    AUDIT_ID, WHEN, "root", "sessions-ended", TARGET, None, "stolen", '{"sessions": 2}'
)
RECORD_JSON = {
    "audit_id": AUDIT_ID,
    "at": WHEN_TEXT,
    "actor": "root",
    "action": "sessions-ended",
    "account_id": TARGET,
    "username": None,
    "reason": "stolen",
    "detail": {"sessions": 2},
}


class Told:
    """Operations that record their requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, str, int]] = []

    def status(self) -> Any:
        """Return something."""
        return {"version": "test"}

    def events(self, after: int | None, *, level: str, limit: int) -> LoggedEvents:
        """Return one event."""
        self.asked.append((after, level, limit))
        return LoggedEvents([LoggedEvent(7, WHEN, "info", "tick", {"tick": "3"})], 7, 2)


def watched() -> FakeWorld:
    """Make a world with operators."""
    world = FakeWorld()
    world.answers |= {
        GetAccountOverview: OVERVIEW,
        GetAccount: replace(ACCOUNT, account_id=TARGET),
        RevokeSessions: 2,
        ReadAudit: (RECORD, replace(RECORD, audit_id=OTHER_SESSION)),
    }
    return world


async def call(
    world: FakeWorld, method: str, path: str, body: Any = None, headers: Any = ADMIN
) -> Any:
    """Make a call."""
    async with serving(world) as server:
        return await server.client.request(method, path, json=body, headers=headers)


CALLS = [
    ("GET", BASE, None),
    ("GET", f"{BASE}/ledger", None),
    ("GET", f"{BASE}/sessions", None),
    ("DELETE", f"{BASE}/sessions", REASON),
    ("DELETE", f"{BASE}/sessions/{OTHER_SESSION}", REASON),
    ("GET", "/v1/admin/audit", None),
    ("GET", "/v1/admin/status", None),
    ("GET", "/v1/admin/events", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=lambda value: str(value)[:40])
async def test_operation_is_for_admins_only(method: str, path: str, body: Any) -> None:
    """A player gets 403, an anonymous caller 401, and no actor is asked in either case."""
    world = watched()
    assert (await call(world, method, path, body, {})).status_code == 401
    refused = await call(world, method, path, body, BEARER)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert all(isinstance(message, Authorize) for message in world.asked)


async def test_any_account_is_shown() -> None:
    """An operator sees an account, with what is known of its sessions."""
    world = watched()
    assert (await call(world, "GET", BASE)).json() == {
        "account_id": TARGET,
        "username": "bob",
        "role": "player",
        "suspended": False,
        "created_at": WHEN_TEXT,
        "must_change_password": True,
        "sessions": 2,
        "last_seen_at": None,
    }
    assert world.asked_for(GetAccountOverview) == [GetAccountOverview(TARGET)]


async def test_any_ledger_is_read_as_ones_own() -> None:
    """An operator reads an account's ledger in the same pages."""
    world = watched()
    shown = await call(world, "GET", f"{BASE}/ledger?after=1&limit=2")
    assert shown.json() == (await call(world, "GET", "/v1/inventory/ledger")).json()
    assert world.asked_for(GetLedger) == [GetLedger(TARGET, 1, 2), GetLedger(ACCOUNT_ID, 0, 100)]


async def test_any_sessions_are_listed() -> None:
    """An operator sees an account's live sessions in the form its owner does."""
    world = watched()
    (session,) = (await call(world, "GET", f"{BASE}/sessions")).json()["sessions"]
    assert session["session_id"] == SESSION_ID
    assert world.asked_for(ListSessions) == [ListSessions(TARGET)]


@pytest.mark.parametrize(("path", "session_id"), [("", None), (f"/{OTHER_SESSION}", OTHER_SESSION)])
async def test_sessions_are_ended_in_the_operators_name(path: str, session_id: str | None) -> None:
    """Ending sessions records who ended them and why, and says how many there were."""
    world = watched()
    assert (await call(world, "DELETE", f"{BASE}/sessions{path}", REASON)).json() == {"ended": 2}
    assert world.asked_for(RevokeSessions) == [RevokeSessions(TARGET, session_id, "ada", "stolen")]


@pytest.mark.parametrize("body", [None, {}, {"reason": ""}, {"reason": "x" * 501}], ids=str)
async def test_sessions_are_not_ended_without_a_reason(body: Any) -> None:
    """A reason is required."""
    world = watched()
    response = await call(world, "DELETE", f"{BASE}/sessions", body)
    assert response.status_code in {400, 422}
    assert not world.asked_for(RevokeSessions)


@pytest.mark.parametrize(
    ("method", "path", "asked", "error"),
    [
        ("GET", "", GetAccountOverview, UnknownAccount()),
        ("GET", "/ledger", GetLedger, AccountGone()),
        ("GET", "/sessions", GetAccount, UnknownAccount()),
        ("DELETE", "/sessions", RevokeSessions, UnknownAccount()),
    ],
)
async def test_operation_on_nobody_is_404(
    method: str, path: str, asked: type, error: Exception
) -> None:
    """An unknown account is 404, however that shows."""
    world = watched()
    world.answers[asked] = error
    body = REASON if method == "DELETE" else None
    for base in (BASE, "/v1/admin/accounts/nobody"):
        response = await call(world, method, f"{base}{path}", body)
        assert response.status_code == 404
        assert response.json()["type"] == "/problems/unknown-account"


async def test_audit_is_read_page_by_page() -> None:
    """A page has the requested length; next leads to older entries, and is null at the end."""
    world = watched()
    page = await call(world, "GET", f"/v1/admin/audit?before={TARGET}&limit=1")
    assert page.json() == {"entries": [RECORD_JSON], "next": AUDIT_ID}
    last = await call(world, "GET", "/v1/admin/audit")
    assert len(last.json()["entries"]) == 2
    assert last.json()["next"] is None
    assert world.asked_for(ReadAudit) == [ReadAudit(TARGET, 2), ReadAudit(None, 51)]


@pytest.mark.parametrize(
    "query",
    [
        "before=x",
        f"before={TARGET.upper()}x",
        f"before={TARGET}%0a",
        "before=%0a",
        "limit=0",
        "limit=501",
    ],
)
async def test_audit_that_cannot_be_read_is_422(query: str) -> None:
    """Only an entry's id can continue a list."""
    world = watched()
    assert (await call(world, "GET", f"/v1/admin/audit?{query}")).status_code == 422
    assert not world.asked_for(ReadAudit)


async def test_events_are_asked_for_as_given() -> None:
    """Place, level and number are passed on; the default is the latest events of every level."""
    world = watched()
    world.operations = told = Told()
    shown = await call(world, "GET", "/v1/admin/events?after=5&level=warning&limit=9")
    assert shown.json() == {
        "entries": [
            {"seq": 7, "at": WHEN_TEXT, "level": "info", "event": "tick", "fields": {"tick": "3"}}
        ],
        "next": 7,
        "dropped": 2,
    }
    await call(world, "GET", "/v1/admin/events")
    assert told.asked == [(5, "warning", 9), (None, "debug", 200)]
    for query in ("level=loud", "limit=0", "limit=1001", "after=-1", "after=x"):
        refused = await call(world, "GET", f"/v1/admin/events?{query}")
        assert refused.status_code == 422, query
    assert len(told.asked) == 2


async def test_status_asks_nobody() -> None:
    """The program's state is shown without asking any actor, except to authorize the caller."""
    world = watched()
    world.operations = Told()
    assert (await call(world, "GET", "/v1/admin/status")).json() == {"version": "test"}
    assert [type(message) for message in world.asked] == [Authorize]


async def test_program_that_nothing_watches_says_so() -> None:
    """If there is nothing to show of the program, that is a problem, not a failure."""
    for path in ("/v1/admin/status", "/v1/admin/events"):
        response = await call(watched(), "GET", path)
        assert response.json()["type"] == "/problems/actor-stopped"


ALLOWED = {"GET /v1/accounts/me", "PUT /v1/accounts/me/password"}


def test_one_time_password_opens_two_calls_only() -> None:
    """Of all calls that need a token, only these are allowed before the password is changed."""
    open_to_it = {
        f"{each.method} {each.path}"
        for each in (*ENDPOINTS, *STREAMS)
        if each.before_password_change
    }
    assert open_to_it == ALLOWED


@pytest.mark.parametrize("role", ["player", "admin"])
async def test_one_time_password_is_changed_before_anything_else(role: str) -> None:
    """Every other call is refused, whatever the role, and no actor is asked."""
    world = watched()
    world.answers[Authorize] = Identity(
        ACCOUNT_ID, SESSION_ID, role, "ada", must_change_password=True
    )
    async with serving(world) as server:
        for endpoint in ENDPOINTS:
            if endpoint.auth is Auth.NONE or endpoint.before_password_change:
                continue
            path = endpoint.template.replace("{account_id}", TARGET)
            path = path.replace("{order_id}", TARGET).replace("{session_id}", TARGET)
            refused = await server.client.request(
                endpoint.method, path, headers={**ADMIN, "Idempotency-Key": "k"}
            )
            assert refused.status_code == 403, path
            assert refused.json()["type"] == "/problems/password-change-required"
        assert all(isinstance(message, Authorize) for message in world.asked)
        world.answers[GetAccount] = replace(ACCOUNT, must_change_password=True)
        shown = await server.client.get("/v1/accounts/me", headers=ADMIN)
        assert shown.json()["must_change_password"] is True
        body = {"current_password": "old one", "new_password": "new one"}
        changed = await server.client.put("/v1/accounts/me/password", json=body, headers=ADMIN)
        assert changed.status_code == 204
