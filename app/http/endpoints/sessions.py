"""Logging in, staying logged in, logging out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.authx.messages import EndSession, EndSessions, ListSessions, Login, Refresh
from app.http.endpoint import ACTORS, Auth, Endpoint, Key
from app.http.types.sessions import (
    LoginRequest,
    RefreshRequest,
    SessionDetails,
    SessionList,
    SessionTokens,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.authx.messages import SessionInfo, Tokens
    from app.http.endpoint import Call


async def open_session(call: Call[LoginRequest, None]) -> SessionTokens:
    """Log in."""
    login = Login(call.body.username, call.body.password, call.address, call.client)
    return _session_tokens(await call.gateway.auth(login))


async def refresh_session(call: Call[RefreshRequest, None]) -> SessionTokens:
    """Rotate a session's tokens."""
    message = Refresh(call.body.refresh_token, call.key, call.has_hung_up)
    return _session_tokens(await call.gateway.auth(message))


async def list_sessions(call: Call[None, None]) -> SessionList:
    """Return the caller's live sessions."""
    caller = call.caller
    sessions = await call.gateway.auth(ListSessions(caller.account_id))
    return session_list(sessions, caller.session_id)


async def end_current_session(call: Call[None, None]) -> None:
    """Log out."""
    await call.gateway.auth(EndSessions(call.caller.account_id, call.caller.session_id))


async def end_session(call: Call[None, None]) -> None:
    """Log out one session of the caller's, this or another."""
    await call.gateway.auth(EndSession(call.caller.account_id, call.path["session_id"]))


async def end_all_sessions(call: Call[None, None]) -> None:
    """Log out everywhere."""
    await call.gateway.auth(EndSessions(call.caller.account_id))


def session_list(sessions: Iterable[SessionInfo], current_id: str) -> SessionList:
    """Convert sessions to their API form; ``current_id`` is the caller's."""
    return SessionList(
        [
            SessionDetails(
                session_id=session.session_id,
                created_at=session.created_at,
                refreshed_at=session.refreshed_at,
                expires_at=session.expires_at,
                current=session.session_id == current_id,
            )
            for session in sessions
        ]
    )


def _session_tokens(tokens: Tokens) -> SessionTokens:
    return SessionTokens(
        account_id=tokens.account_id,
        session_id=tokens.session_id,
        access_token=tokens.access_token,
        token_type="Bearer",  # noqa: S106 - the kind of token, not a token
        expires_in=tokens.expires_in,
        refresh_token=tokens.refresh_token,
        refresh_expires_in=tokens.refresh_expires_in,
        must_change_password=tokens.must_change_password,
    )


SESSIONS = (
    Endpoint(
        method="POST",
        path="/v1/sessions",
        handler=open_session,
        summary="Log in",
        tag="sessions",
        auth=Auth.NONE,
        request=LoginRequest,
        response=SessionTokens,
        status=201,
        tries_password=True,
        errors=("invalid-credentials", "too-many-attempts", *ACTORS),
    ),
    Endpoint(
        method="POST",
        path="/v1/sessions/refresh",
        handler=refresh_session,
        summary="Rotate a session's tokens",
        tag="sessions",
        auth=Auth.NONE,
        request=RefreshRequest,
        response=SessionTokens,
        key=Key.OPTIONAL,
        errors=("invalid-token", *ACTORS),
    ),
    Endpoint(
        method="GET",
        path="/v1/sessions",
        handler=list_sessions,
        summary="The caller's live sessions",
        tag="sessions",
        auth=Auth.PLAYER,
        response=SessionList,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sessions/current",
        handler=end_current_session,
        summary="Log out",
        tag="sessions",
        auth=Auth.PLAYER,
        status=204,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sessions/{session_id:uuid}",
        handler=end_session,
        summary="Log out one session of the account",
        tag="sessions",
        auth=Auth.PLAYER,
        status=204,
        absent="unknown-session",
    ),
    Endpoint(
        method="DELETE",
        path="/v1/sessions",
        handler=end_all_sessions,
        summary="Log out everywhere",
        tag="sessions",
        auth=Auth.PLAYER,
        status=204,
    ),
)
"""The endpoints of sessions."""
