"""How an Inventory handles an operator's requests: grants, and freezing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uuid_utils import uuid7

from actors.inventory import records
from actors.inventory.engine import advance, grant, thaw
from actors.inventory.records import Answered
from actors.inventory.views import Granted, GrantRecord

if TYPE_CHECKING:
    from actors.inventory.messages import Grant
    from actors.inventory.work import Work

_CAUSE: Final = "grant"


def grant_assets(work: Work, command: Grant) -> Granted:
    """Change assets with a reason; the audit entry is part of the same unit.

    Raises:
        IdempotencyKeyReused, UnknownAsset, InvalidAmount, InsufficientResources: nothing changed.
    """
    known = work.answered_before(command.idempotency_key, command.fingerprint)
    if known is not None:
        return Granted(known.the(GrantRecord), replayed=True)
    state, events = grant(
        work.state, work.ruleset, changes=command.changes, now_ms=work.now_ms, cause=_CAUSE
    )
    work.take(state, events)
    [entry] = (entry for entry in events.entries if entry.cause == _CAUSE)
    made = GrantRecord(
        id=str(uuid7()),
        account_id=work.account_id,
        changes=entry.changes,
        reason=command.reason,
        operator=command.operator,
        at_ms=work.world_ms,
    )
    work.store(records.audit_operation(made))
    work.remember(command.idempotency_key, command.fingerprint, Answered(grant=made))
    return Granted(made, replayed=False)


def freeze(work: Work) -> None:
    """Stand still from now on; what is already due is settled first."""
    if work.frozen_ms is None:
        now_ms = work.now_ms
        work.move(*advance(work.state, work.ruleset, now_ms))
        work.frozen_ms = now_ms


def unfreeze(work: Work) -> None:
    """Resume from where it stood still."""
    if work.frozen_ms is not None:
        work.frozen_ms = None
        work.move(*thaw(work.state, work.now_ms))
