"""The operators' view of the program: its state, its audit log, its recent events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.authx.messages import ReadAudit
from app.http.endpoint import Auth, Endpoint
from app.http.types.operations import (
    AuditEntryDetails,
    AuditPage,
    AuditQuery,
    EventsQuery,
    LoggedEvents,
    Status,
)

if TYPE_CHECKING:
    from actors.authx.messages import AuditRecord
    from app.http.endpoint import Call


async def get_status(call: Call[None, None]) -> Status:
    """Return the current state of the whole program; asks no actor."""
    return call.gateway.operations.status()


async def read_audit(call: Call[None, AuditQuery]) -> AuditPage:
    """Return what operators did, newest first."""
    limit = call.query.limit
    found = await call.gateway.auth(ReadAudit(call.query.before or None, limit + 1))
    entries = [_audit_entry(record) for record in found[:limit]]
    return AuditPage(entries, entries[-1].audit_id if len(found) > limit else None)


async def read_events(call: Call[None, EventsQuery]) -> LoggedEvents:
    """Return recently logged events, oldest first."""
    query = call.query
    return call.gateway.operations.events(query.after, level=query.level, limit=query.limit)


def _audit_entry(record: AuditRecord) -> AuditEntryDetails:
    return AuditEntryDetails(
        audit_id=record.audit_id,
        at=record.at,
        actor=record.actor,
        action=record.action,
        account_id=record.account_id,
        username=record.username,
        reason=record.reason,
        detail=msgspec.json.decode(record.detail),
    )


OPERATIONS = (
    Endpoint(
        method="GET",
        path="/v1/admin/status",
        handler=get_status,
        summary="The current state of the whole program",
        tag="operations",
        auth=Auth.ADMIN,
        response=Status,
    ),
    Endpoint(
        method="GET",
        path="/v1/admin/audit",
        handler=read_audit,
        summary="What operators did, newest first",
        tag="operations",
        auth=Auth.ADMIN,
        query=AuditQuery,
        response=AuditPage,
    ),
    Endpoint(
        method="GET",
        path="/v1/admin/events",
        handler=read_events,
        summary="What the server logged recently",
        tag="operations",
        auth=Auth.ADMIN,
        query=EventsQuery,
        response=LoggedEvents,
    ),
)
"""The endpoints of the operators' view of the program."""
