"""One account as operators see it: its ledger, its sessions, and ending them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.authx.errors import UnknownAccount
from actors.authx.messages import GetAccount, GetAccountOverview, ListSessions, RevokeSessions
from actors.inventory.errors import AccountGone
from actors.inventory.messages import GetLedger
from app.http.endpoint import Auth, Endpoint
from app.http.endpoints.sessions import session_list
from app.http.endpoints.views import ledger_page
from app.http.types.admin import AccountOverviewDetails, EndedSessions, ReasonRequest
from app.http.types.inventory import LedgerPageDetails, LedgerQuery
from app.http.types.sessions import SessionList

if TYPE_CHECKING:
    from app.http.endpoint import Call

_ACCOUNT = "/v1/admin/accounts/{account_id:uuid}"


async def get_any_account(call: Call[None, None]) -> AccountOverviewDetails:
    """Return any account, with what is known of its sessions."""
    found = await call.gateway.auth(GetAccountOverview(call.path["account_id"]))
    return AccountOverviewDetails(
        account_id=found.account_id,
        username=found.username,
        role=found.role,
        suspended=found.suspended,
        created_at=found.created_at,
        must_change_password=found.must_change_password,
        sessions=found.sessions,
        last_seen_at=found.last_seen_at,
    )


async def get_any_ledger(call: Call[None, LedgerQuery]) -> LedgerPageDetails:
    """Return a page of any account's ledger."""
    message = GetLedger(call.path["account_id"], call.query.after, call.query.limit)
    try:
        return ledger_page(await call.gateway.inventory(message))
    except AccountGone as error:
        raise UnknownAccount from error


async def list_any_sessions(call: Call[None, None]) -> SessionList:
    """Return the live sessions of any account."""
    account = await call.gateway.auth(GetAccount(call.path["account_id"]))
    sessions = await call.gateway.auth(ListSessions(account.account_id))
    return session_list(sessions, call.caller.session_id)


async def end_any_sessions(call: Call[ReasonRequest, None]) -> EndedSessions:
    """End every session of an account at once, for a reason."""
    return await _end_sessions(call, None)


async def end_any_session(call: Call[ReasonRequest, None]) -> EndedSessions:
    """End one session of an account at once, for a reason."""
    return await _end_sessions(call, call.path["session_id"])


async def _end_sessions(call: Call[ReasonRequest, None], session_id: str | None) -> EndedSessions:
    operator, reason = call.caller.username, call.body.reason
    message = RevokeSessions(call.path["account_id"], session_id, operator, reason)
    return EndedSessions(await call.gateway.auth(message))


OVERSIGHT = (
    Endpoint(
        method="GET",
        path=_ACCOUNT,
        handler=get_any_account,
        summary="Any account, with a summary of its sessions",
        tag="admin",
        auth=Auth.ADMIN,
        response=AccountOverviewDetails,
        absent="unknown-account",
    ),
    Endpoint(
        method="GET",
        path=f"{_ACCOUNT}/ledger",
        handler=get_any_ledger,
        summary="The ledger of any account",
        tag="admin",
        auth=Auth.ADMIN,
        query=LedgerQuery,
        response=LedgerPageDetails,
        absent="unknown-account",
    ),
    Endpoint(
        method="GET",
        path=f"{_ACCOUNT}/sessions",
        handler=list_any_sessions,
        summary="The live sessions of any account",
        tag="admin",
        auth=Auth.ADMIN,
        response=SessionList,
        absent="unknown-account",
    ),
    Endpoint(
        method="DELETE",
        path=f"{_ACCOUNT}/sessions",
        handler=end_any_sessions,
        summary="End every session of an account, giving a reason",
        tag="admin",
        auth=Auth.ADMIN,
        request=ReasonRequest,
        response=EndedSessions,
        absent="unknown-account",
    ),
    Endpoint(
        method="DELETE",
        path=f"{_ACCOUNT}/sessions/{{session_id:uuid}}",
        handler=end_any_session,
        summary="End one session of an account, giving a reason",
        tag="admin",
        auth=Auth.ADMIN,
        request=ReasonRequest,
        response=EndedSessions,
        absent="unknown-account",
    ),
)
"""What operators see of one account, besides what it owns."""
